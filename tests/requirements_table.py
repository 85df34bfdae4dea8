"""Prints which tests prove which requirement, and fails when one that the README claims has none.

Tests name requirements with ``@pytest.mark.requirement("R11", …)`` on a function, a class, or a module's
``pytestmark``. Read from the source, so that nothing has to be importable or running.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parent
README = TESTS.parent / "README.md"
TITLES = TESTS / "data" / "requirements.toml"
_CLAIMED = re.compile(r"<!-- requirements:begin -->(.*?)<!-- requirements:end -->", re.DOTALL)
_ID = re.compile(r"\b([RBF])(\d+)(?:\s*[-–]\s*([RBF])?(\d+))?\b")
_NAMES_SHOWN = 2

Function = ast.FunctionDef | ast.AsyncFunctionDef
Proofs = dict[str, list[str]]


def titles() -> dict[str, str]:
    """Return every known id with its title, in order."""
    groups = tomllib.loads(TITLES.read_text(encoding="utf-8"))
    return {requirement: title for group in groups.values() for requirement, title in group.items()}


def claimed(readme: str) -> list[str]:
    """Return the ids between the README's two marks; ``R1–R4`` stands for all four. Raises ``ValueError``."""
    section = _CLAIMED.search(readme)
    if section is None:
        raise ValueError("README.md has no <!-- requirements:begin --> … <!-- requirements:end -->")
    found: dict[str, None] = {}
    for letter, first, other, last in _ID.findall(section[1]):
        if last and other not in ("", letter):
            raise ValueError(f"README.md: {letter}{first}–{other}{last} is no range")
        found.update({f"{letter}{number}": None for number in range(int(first), int(last or first) + 1)})
    return list(found)


def proofs(folder: Path) -> Proofs:
    """Return the tests of every id that a test below ``folder`` names."""
    found: Proofs = {}
    for path in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for test, ids in _tests(tree.body, _module_marks(tree)):
            for requirement in dict.fromkeys(ids):
                found.setdefault(requirement, []).append(f"{path.relative_to(folder)}::{test}")
    return found


def _tests(body: list[ast.stmt], inherited: list[str], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield prefix + node.name, inherited + _ids(node.decorator_list)
        elif isinstance(node, ast.ClassDef):
            yield from _tests(node.body, inherited + _ids(node.decorator_list), f"{prefix}{node.name}::")


def _module_marks(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            return _ids([node.value])
    return []


def _ids(marks: list[ast.expr]) -> list[str]:
    """Return the arguments of every ``….requirement(…)`` call in these expressions, also inside ``pytest.param``."""
    return [
        str(argument.value)
        for mark in marks
        for call in ast.walk(mark)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "requirement"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def faults(promised: list[str], known: dict[str, str], proven: Proofs) -> list[str]:
    """Return what is wrong, a sentence each."""
    wrong = [
        f"README.md claims {requirement}, which is no requirement"
        for requirement in promised
        if requirement not in known
    ]
    wrong += [
        f"README.md claims {requirement} ({known[requirement]}), and no test names it"
        for requirement in promised
        if requirement in known and requirement not in proven
    ]
    for requirement, tests in proven.items():
        if requirement not in known:
            wrong.append(f"{tests[0]} names {requirement}, which is no requirement")
    return wrong


def table(promised: list[str], known: dict[str, str], proven: Proofs) -> Table:
    """Lay out one row per known id; the claimed ones have a tick."""
    made = Table(box=None, pad_edge=False)
    for name, justify in (
        ("id", "left"),
        ("", "left"),
        ("requirement", "left"),
        ("tests", "right"),
        ("first of them", "left"),
    ):
        made.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for requirement, title in known.items():
        tests = proven.get(requirement, [])
        shown = "\n".join(test.rpartition("::")[2] for test in tests[:_NAMES_SHOWN])
        made.add_row(requirement, "✓" if requirement in promised else "", title, str(len(tests) or "–"), shown)
    return made


def main() -> int:
    """Print the table; return 1 when a claim has no test or a name is unknown."""
    known, proven = titles(), proofs(TESTS)
    promised: list[str] = []
    wrong: list[str] = []
    try:
        promised = claimed(README.read_text(encoding="utf-8"))
    except ValueError as exc:
        wrong.append(str(exc))
    wrong += faults(promised, known, proven)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(table(promised, known, proven))
    for fault in wrong:
        console.print(fault, style="red", markup=False)
    named = sum(requirement in proven for requirement in promised)
    console.print(f"{named} of {len(promised)} requirements that README.md claims are named by tests")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
