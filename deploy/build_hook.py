"""Writes the commit into the wheel, as ``worker/commit.txt``; hatchling calls it (pyproject.toml).

The commit comes from PIKE_ECONOMIC_COMMIT (an image is built without the repository) or from git. An installation of
the checkout itself gets none: there the working tree is the truth.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds one file to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the note; ``version`` is hatchling's word for the kind of build."""
        commit = os.environ.get("PIKE_ECONOMIC_COMMIT") or self._of_the_checkout()
        if version == "editable" or self.target_name != "wheel" or not commit:
            return
        folder = Path(tempfile.mkdtemp(prefix="pike-commit-"))
        note = folder / "commit.txt"
        note.write_text(commit + "\n", encoding="utf-8")
        note.chmod(0o644)
        build_data["force_include"][str(note)] = "worker/commit.txt"

    def _of_the_checkout(self) -> str:
        head = self._git("rev-parse", "HEAD")
        return f"{head}+changes" if head and self._git("status", "--porcelain") else head

    def _git(self, *arguments: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", *arguments],  # noqa: S607
                cwd=self.root,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
