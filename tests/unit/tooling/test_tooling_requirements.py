"""The requirements table: what counts as a proof, what the README claims, and what is wrong between the two."""

from pathlib import Path

import pytest

from tests.requirements_table import claimed, faults, proofs, titles

KNOWN = {"R1": "one", "R2": "two", "B1": "bonus"}


def put(folder: Path, source: str) -> None:
    (folder / "deeper").mkdir()
    (folder / "deeper" / "test_something.py").write_text(source)


def test_marks_on_functions_classes_modules_and_parameters_count(tmp_path: Path) -> None:
    put(
        tmp_path,
        """
import pytest
pytestmark = [pytest.mark.timeout(5), pytest.mark.requirement("R1")]

@pytest.mark.requirement("R2", "B1")
async def test_function(): ...

@pytest.mark.requirement("F1")
class TestClass:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requirement("F2"))])
    def test_method(self): ...

    def helper(self): ...

@pytest.mark.requirement("R9")
def not_a_test(): ...
""",
    )
    function, method = "deeper/test_something.py::test_function", "deeper/test_something.py::TestClass::test_method"
    assert proofs(tmp_path) == {
        "R1": [function, method],
        "R2": [function],
        "B1": [function],
        "F1": [method],
        "F2": [method],
    }


def test_readme_claims_single_ids_and_ranges_between_its_marks() -> None:
    readme = "R30\n<!-- requirements:begin -->\nR1–R3, R5, B1-2 and `F20`\n<!-- requirements:end -->\nR31"
    assert claimed(readme) == ["R1", "R2", "R3", "R5", "B1", "B2", "F20"]


@pytest.mark.parametrize(
    "readme",
    ["nothing claimed", "<!-- requirements:begin -->R1–B3<!-- requirements:end -->"],
    ids=["no marks", "mixed"],
)
def test_readme_that_cannot_be_read_is_a_fault(readme: str) -> None:
    with pytest.raises(ValueError, match="README"):
        claimed(readme)


def test_all_claims_proven_is_no_fault() -> None:
    assert faults(["R1", "B1"], KNOWN, {"R1": ["a"], "B1": ["b"], "R2": ["c"]}) == []


def test_claim_without_a_test_is_a_fault_that_names_it() -> None:
    assert faults(["R1", "R2"], KNOWN, {"R1": ["a"]}) == ["README.md claims R2 (two), and no test names it"]


def test_unknown_ids_are_faults_on_both_sides() -> None:
    assert faults(["R7"], KNOWN, {"R8": ["test_a.py::test_b"]}) == [
        "README.md claims R7, which is no requirement",
        "test_a.py::test_b names R8, which is no requirement",
    ]


def test_every_requirement_has_a_title() -> None:
    expected = [f"R{n}" for n in range(1, 33)] + [f"B{n}" for n in range(1, 19)] + [f"F{n}" for n in range(1, 21)]
    assert list(titles()) == expected
    assert all(titles().values())
