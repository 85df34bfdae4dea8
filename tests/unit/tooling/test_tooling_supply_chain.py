"""What stops a release: a licence that nobody agreed to, a known vulnerability, and a question without an answer."""

import pytest

from deploy.supply_chain import audit_faults, licence_faults


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "Apache-2.0 AND MIT",
        "Apache-2.0 OR BSD-3-Clause",
        "Apache Software License; MIT License",
        "GPL-3.0 OR MIT",
    ],
)
def test_a_licence_on_the_list_passes_and_a_choice_may_be_made(licence: str) -> None:
    assert licence_faults([{"Name": "some", "License": licence}]) == []


@pytest.mark.parametrize("licence", ["GPL-3.0", "MIT AND GPL-3.0", "MIT License; Other", "UNKNOWN", ""])
def test_any_other_licence_is_a_fault_that_says_what_to_do(licence: str) -> None:
    (told,) = licence_faults([{"Name": "some", "License": licence}])
    assert told.startswith(f"some is under {licence!r}, which is not on the list in deploy/supply_chain.py")


def test_a_package_that_was_looked_at_counts_for_itself_and_under_that_licence_only() -> None:
    lgpl = "GNU Lesser General Public License v3 or later (LGPLv3+)"
    assert licence_faults([{"Name": "pygal", "License": lgpl}]) == []
    assert licence_faults([{"Name": "other", "License": lgpl}]) != []
    assert licence_faults([{"Name": "pygal", "License": "GPL-3.0"}]) != []
    assert licence_faults([{"Name": "pike-economic", "License": "Proprietary"}]) == []


def test_a_vulnerability_is_named_with_its_remedy() -> None:
    packages = [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3"]}]},
        {"name": "worse", "version": "3", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]},
    ]
    assert audit_faults(packages) == ["bad 2: PYSEC-1, fixed in 2.1, 3", "worse 3: PYSEC-2, fixed in -"]


def test_nobody_to_ask_is_not_a_clean_result() -> None:
    packages = [{"name": "some", "skip_reason": "Dependency not found on PyPI"}, {"name": "good", "version": "1"}]
    assert audit_faults(packages) == ["no answer about 1 packages: some"]
