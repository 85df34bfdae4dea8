"""``make mutations``: apply each mutation to a copy of the tree, run its tests, and fail when none turns red."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.table import MUTATIONS, Mutation
from worker.servers import provide
from worker.servers.provide import AMQP_VARIABLE, DATABASE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("worker", "events", "schemas", "tests", "pyproject.toml", "README.md", "Makefile")
_RED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
PATIENCE_S = 240


def copy_to(folder: Path) -> None:
    """Copy what tests need."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)


def run(folder: Path, tests: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str]:
    """Run tests in the copy until the first is red; returns pytest's exit code and its output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-rfE", "-p", "no:cacheprovider", *tests]
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment, "PYTHONPATH": str(folder)},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    return result.returncode, result.stdout + result.stderr


def try_out(mutation: Mutation, environment: dict[str, str]) -> str | None:
    """Return the test that noticed, ``None`` when the mutation survived. Raises ``LookupError`` for a stale table."""
    with tempfile.TemporaryDirectory(prefix="pike-mutation-") as name:
        folder = Path(name)
        copy_to(folder)
        file = folder / mutation.file
        text = file.read_text(encoding="utf-8")
        if mutation.old not in text:
            raise LookupError(f"{mutation.file} no longer has the text that “{mutation.name}” replaces")
        file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        code, output = run(folder, mutation.tests, environment)
    if code not in (0, 1):
        raise LookupError(f"“{mutation.name}”: pytest ended with {code}\n{output[-1500:]}")
    red = _RED.search(output)
    return (red[1].rpartition("::")[2] if red else "?") if code else None


def main() -> int:
    """Run all mutations (or those whose name has a word) and print what noticed them; 1 when one survives."""
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutations whose name has one of these words")
    words = parser.parse_args().words
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    tests = tuple(dict.fromkeys(test for each in chosen for test in each.tests))
    survived = 0
    with provide(announce=print) as servers:
        environment = {AMQP_VARIABLE: servers.amqp_url, DATABASE_VARIABLE: servers.database_url}
        code, output = run(ROOT, tests, environment)
        if code:
            print(f"{output[-3000:]}\nwithout any mutation the tests are red already")
            return 1
        print(f"{len(tests)} tests are green without a mutation", flush=True)
        for mutation in chosen:
            began = time.monotonic()
            noticed = try_out(mutation, environment)
            survived += noticed is None
            shown = f"noticed by {noticed}" if noticed else "SURVIVED"
            print(f"{mutation.name:<56} {time.monotonic() - began:5.1f} s  {shown}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutations were noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
