"""Findings in our code and their answers: neither may stand alone."""

from deploy.checks.weaknesses import answers, faults

PAGE = """
## Bandit
| finding | where | answer |
|---|---|---|
| B404, B603 subprocess | `worker/servers/*.py`, `deploy/*.py` | fixed words |
## pip-audit
| B999 x | `y` | z |
"""


def test_each_number_is_answered_for_each_place() -> None:
    assert [answer for answer, _ in answers(PAGE)] == [
        ("B404", "worker/servers/*.py"),
        ("B404", "deploy/*.py"),
        ("B603", "worker/servers/*.py"),
        ("B603", "deploy/*.py"),
    ]


def test_a_finding_without_an_answer_is_named() -> None:
    assert faults([("B404", "worker/servers/x.py"), ("B404", "worker/run.py")], PAGE) == [
        "B404 in worker/run.py has no answer in deploy/security.md"
    ]


def test_an_answer_to_nothing_is_named() -> None:
    (told,) = faults([], PAGE)
    assert told.startswith("deploy/security.md answers what is not found: | B404, B603 subprocess")
