"""``make situations``: what may go wrong and the tests that play it, checked against what pytest collects."""

import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "data" / "situations.toml"


@dataclass(frozen=True)
class Situation:
    """One situation: its tests, or why it cannot be tested here. ``note`` says what its tests leave out."""

    name: str
    tests: tuple[str, ...]
    reason: str
    note: str = ""


def read(text: str) -> list[Situation]:
    """Read the table."""
    rows: list[dict[str, Any]] = tomllib.loads(text)["situation"]
    return [
        Situation(row["name"], tuple(row.get("tests", ())), row.get("reason", ""), row.get("note", "")) for row in rows
    ]


def collected(files: set[str]) -> set[str]:
    """Return the ids of every test that pytest finds in these files, with and without their parameters."""
    there = sorted(file for file in files if (ROOT / file).is_file())
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *there]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"pytest cannot collect: {result.stdout[-2000:]}{result.stderr[-2000:]}")
    ids = {line.strip() for line in result.stdout.splitlines() if "::" in line}
    return ids | {test.partition("[")[0] for test in ids}


def faults(situations: list[Situation], known: set[str]) -> list[str]:
    """Return what is wrong with the table, a sentence each."""
    wrong = [
        f"{test} of “{each.name}” does not exist" for each in situations for test in each.tests if test not in known
    ]
    wrong += [
        f"“{each.name}” has neither a test nor a reason" for each in situations if not each.tests and not each.reason
    ]
    wrong += [
        f"“{each.name}” has tests and a reason why it has none" for each in situations if each.tests and each.reason
    ]
    doubled = [name for name, count in Counter(each.name for each in situations).items() if count > 1]
    return wrong + [f"“{name}” is listed twice" for name in doubled]


def table(situations: list[Situation]) -> Table:
    """Lay out one row per situation."""
    made = Table(box=None, pad_edge=False)
    for name in ("", "situation", "tests"):
        made.add_column(name, overflow="fold")
    for number, each in enumerate(situations, start=1):
        shown = [test.rpartition("::")[2] for test in each.tests] or [f"none: {each.reason}"]
        shown += [f"left out: {each.note}"] if each.note else []
        made.add_row(str(number), each.name, "\n".join(shown).replace("[", r"\["))
    return made


def main() -> int:
    """Print the table; return 1 when a situation has no test or a named test does not exist."""
    situations = read(TABLE.read_text(encoding="utf-8"))
    wrong = faults(situations, collected({test.partition("::")[0] for each in situations for test in each.tests}))
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table(situations))
    for fault in wrong:
        console.print(fault, style="red", markup=False)
    tested = sum(bool(each.tests) for each in situations)
    console.print(
        f"{tested} of {len(situations)} situations have tests, {len(situations) - tested} have a reason why not"
    )
    console.print(
        f"{sum(bool(each.note) for each in situations)} leave something out, which is said beside their tests"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
