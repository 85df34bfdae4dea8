"""The mutations' table stays true to the code: a guard that was rewritten is not silently left out."""

from pathlib import Path

import pytest

from tests.mutations.table import MUTATIONS, Mutation

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_a_mutation_removes_still_stands_in_its_file(mutation: Mutation) -> None:
    assert mutation.old in (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.new != mutation.old
    for named in mutation.tests:
        assert (ROOT / named.partition("::")[0]).is_file()
