"""Reads the recipes of a page and does what they say in a copy of the project, so that the page is proven.

A fenced block with ``title=path`` is a new file; with the language ``diff`` it changes one: lines with ``-`` and those
without a sign are looked for, one place must fit, and lines with ``+`` come in. ``@@`` parts the places.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "deploy" / "docs" / "contributing.md"

_BLOCK = re.compile(r"^```(?P<language>\w+) title=(?P<path>\S+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


class DoesNotFit(AssertionError):
    """The page says something that is not so in the project."""


@dataclass(frozen=True)
class Step:
    """One block of a recipe."""

    path: str
    language: str
    text: str

    def take(self, folder: Path) -> Path:
        """Do it, and return the file that was made or changed. Raises ``DoesNotFit``."""
        target = folder / _numbered(self.path, folder)
        if self.language == "diff":
            text = target.read_text(encoding="utf-8")
            for place in re.split(r"^@@\n", self.text, flags=re.MULTILINE):
                text = _change(text, place, self.path)
            target.write_text(text, encoding="utf-8")
        elif target.exists():
            raise DoesNotFit(f"{self.path} is there already")
        else:
            target.write_text(self.text, encoding="utf-8")
        return target


def recipe(heading: str, page: Path = PAGE) -> list[Step]:
    """Return the steps below a heading of the second level."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise DoesNotFit(f"{page.name} has no heading {heading!r}")
    return [Step(block["path"], block["language"], block["text"]) for block in _BLOCK.finditer(found[1])]


def copy_project(folder: Path) -> None:
    """Copy what git knows, and what is new and not ignored, as it stands in the work tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def _change(text: str, place: str, path: str) -> str:
    lines = place.splitlines(keepends=True)
    before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
    if text.count(before) != 1:
        raise DoesNotFit(f"{path}: {text.count(before)} places look like this:\n{before}")
    return text.replace(before, after)


def _numbered(path: str, folder: Path) -> str:
    if "NNNN" not in path:
        return path
    newest = max(int(file.name[:4]) for file in (folder / path).parent.glob("[0-9]*.sql"))
    return path.replace("NNNN", f"{newest + 1:04}")
