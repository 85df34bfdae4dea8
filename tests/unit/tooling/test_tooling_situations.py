"""The table of situations is whole, and a gap in it is told."""

import pytest

from tests.situations import TABLE, Situation, faults, read

GOOD = Situation("a", ("t.py::test_a",), "")
REASON = Situation("b", (), "needs two machines")


def test_the_table_lists_every_situation_once() -> None:
    situations = read(TABLE.read_text(encoding="utf-8"))
    assert len(situations) == 45
    known = {test for each in situations for test in each.tests}
    assert faults(situations, known) == []


def test_a_reason_stands_for_a_test() -> None:
    assert faults([GOOD, REASON], {"t.py::test_a"}) == []


@pytest.mark.parametrize(
    ("situations", "told"),
    [
        ([GOOD], "does not exist"),
        ([Situation("a", (), "")], "neither a test nor a reason"),
        ([Situation("a", ("x",), "why")], "tests and a reason"),
        ([REASON, REASON], "listed twice"),
    ],
)
def test_a_gap_is_told(situations: list[Situation], told: str) -> None:
    (fault,) = faults(situations, {"x"})
    assert told in fault
