"""``python -m events.contract``: write the contract's files; ``--check`` them; ``--release`` them.

Run in the project's root (``make contract``). The check needs the package ``jsonschema``, a development dependency.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from events.contract.compatibility import breaks
from events.contract.document import document
from events.contract.schemas import PUBLIC, event_schema

FOLDER = Path("deploy/contract")
_ASYNCAPI = "asyncapi.json"
_RELEASED = "released.asyncapi.json"
_SCHEMA_OF_ASYNCAPI = "vendor/asyncapi-3.0.0.schema.json"


def files() -> dict[str, str]:
    """Return every generated file of the contract: path within its folder → text."""
    schemas = {f"schemas/{event}.schema.json": _text(event_schema(event)) for event in PUBLIC}
    return {_ASYNCAPI: _text(document()), **schemas}


def write(folder: Path) -> None:
    """Write all files, and remove schemas of types that are no more."""
    made = files()
    for path in folder.glob("schemas/*.schema.json"):
        if f"schemas/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def release(folder: Path) -> None:
    """Make today's contract the one that later ones are compared with."""
    write(folder)
    (folder / _RELEASED).write_text(files()[_ASYNCAPI], encoding="utf-8")


def check(folder: Path) -> list[str]:
    """Return what is wrong, one sentence each: files not current, not valid AsyncAPI, promises broken."""
    return [*_not_current(folder), *_not_valid(folder), *_not_compatible(folder)]


def _not_current(folder: Path) -> list[str]:
    made = files()
    present = {f"schemas/{path.name}" for path in folder.glob("schemas/*.schema.json")}
    old = [name for name, text in made.items() if _read(folder / name) != text]
    old += sorted(present - set(made))
    return [f"{folder / name} is not what the models say. Run: make contract" for name in old]


def _not_valid(folder: Path) -> list[str]:
    from jsonschema import Draft7Validator  # only here: services that publish events do without it

    validator = Draft7Validator(json.loads((folder / _SCHEMA_OF_ASYNCAPI).read_text(encoding="utf-8")))
    return [
        f"The document is not valid AsyncAPI 3.0 at {error.json_path}: {error.message[:200]}"
        for error in validator.iter_errors(document())
    ]


def _not_compatible(folder: Path) -> list[str]:
    released = _read(folder / _RELEASED)
    if released is None:
        return [f"{folder / _RELEASED} is missing: nothing tells what the last release promised. Restore it from git"]
    return [str(broken) for broken in breaks(json.loads(released), document())]


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str] | None = None) -> int:
    """Do what the options say; 1 when the check found something."""
    parser = argparse.ArgumentParser(prog="python -m events.contract", description="The contract's files.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="say whether the files are current, valid and compatible")
    what.add_argument("--release", action="store_true", help="write, and compare later contracts with this one")
    chosen = parser.parse_args(arguments)
    if not chosen.check:
        (release if chosen.release else write)(chosen.folder)
        return 0
    wrong = check(chosen.folder)
    print(*wrong, sep="\n", file=sys.stderr)  # noqa: T201  # a command's answer
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
