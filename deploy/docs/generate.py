"""``python -m deploy.docs.generate``: write the reference pages; ``--check`` says which are not what the code says."""

import argparse
import sys
from pathlib import Path

from deploy.docs import pages

FOLDER = Path(__file__).resolve().parent / "reference"


def made() -> dict[str, str]:
    """Return every generated page: file name → text."""
    return {f"{page.__name__}.md": page() for page in (pages.settings, pages.events, pages.commands, pages.causes)}


def stale(folder: Path = FOLDER) -> list[str]:
    """Return a sentence for every page that is missing or old."""
    old = [
        name
        for name, text in made().items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != text
    ]
    return [f"deploy/docs/reference/{name} is not what the code says. Run: make docs" for name in old]


def main(arguments: list[str] | None = None) -> int:
    """Write, or check; 1 when a page is old."""
    parser = argparse.ArgumentParser(prog="python -m deploy.docs.generate", description="The reference pages.")
    parser.add_argument("--check", action="store_true", help="say which pages are old, and write nothing")
    if parser.parse_args(arguments).check:
        wrong = stale()
        print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in made().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
