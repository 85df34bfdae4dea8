"""Matching of customers: VAT number, then e-mail, then name; a link needs one candidate on each side (B11, F16)."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_factories import economic_customer, local_customer, uid

from schemas.customer import PikeCustomer
from worker.mapping.matching import Ambiguous, Matches, find_in_economic, keys_of, match_customers, normalise_name


def arriving(number: int, name: str = "", **fields: Any) -> PikeCustomer:
    renamed = {"primary_contact_email" if key == "email" else key: value for key, value in fields.items()}
    return PikeCustomer(external_number=str(number), name=name or f"Firm {number}", **renamed)


def own(number: int, name: str = "", **fields: Any) -> Any:
    return local_customer(number, name=name or f"Own {number}", **fields)


@pytest.mark.requirement("B11")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"vat_number": "12345674"}, {"vat_number": "DK 12 34 56 74"}),
        ({"email": "A@X.example"}, {"email": "a@x.example b@x.example"}),
        ({"name": "Hansen  ApS."}, {"name": "hansen aps"}),
        ({"name": "ＨＡＮＳＥＮ"}, {"name": "Hansen"}),
    ],
)
def test_one_candidate_by_any_key_is_a_link(theirs: dict[str, str], ours: dict[str, str]) -> None:
    assert match_customers([arriving(7, **theirs)], [own(1, **ours)]) == Matches({uid(1): "7"}, [])


@pytest.mark.requirement("B11", "F16")
def test_several_candidates_are_left_to_a_person() -> None:
    found = match_customers([arriving(7, "Hansen")], [own(1, "Hansen"), own(2, "HANSEN"), own(3, "Jensen")])
    assert found == Matches({}, [Ambiguous("7", "Hansen", "name", (uid(1), uid(2)))])


@pytest.mark.requirement("F16")
def test_two_of_economic_for_one_of_pike_are_left_to_a_person() -> None:
    found = match_customers([arriving(7, vat_number="1"), arriving(8, vat_number="1")], [own(1, vat_number="1")])
    assert found.links == {}
    assert {(entry.external_number, entry.candidates) for entry in found.ambiguous} == {
        ("7", (uid(1),)),
        ("8", (uid(1),)),
    }


@pytest.mark.requirement("B11")
def test_vat_number_goes_before_mail_and_mail_before_name() -> None:
    ours = [own(1, vat_number="12345674"), own(2, email="a@x.example"), own(3, "Hansen")]
    theirs = [arriving(7, "Hansen", vat_number="12345674", email="a@x.example")]
    assert match_customers(theirs, ours).links == {uid(1): "7"}
    assert match_customers(theirs, ours[1:]).links == {uid(2): "7"}
    assert match_customers(theirs, ours[2:]).links == {uid(3): "7"}


@pytest.mark.requirement("B11")
@pytest.mark.parametrize("alike", [{"name": "Hansen"}, {"email": "bookkeeper@x.example"}])
def test_another_vat_number_is_another_company_however_alike(alike: dict[str, str]) -> None:
    found = match_customers([arriving(7, vat_number="1", **alike)], [own(1, vat_number="2", **alike)])
    assert found == Matches({}, [])


def test_customer_without_any_candidate_is_new() -> None:
    assert match_customers([arriving(7, "Hansen")], [own(1, "Jensen")]) == Matches({}, [])


def test_customer_linked_in_an_earlier_round_is_no_candidate_later() -> None:
    found = match_customers([arriving(7, vat_number="1"), arriving(8, "Hansen")], [own(1, "Hansen", vat_number="1")])
    assert found == Matches({uid(1): "7"}, [])


@pytest.mark.requirement("F16")
def test_candidate_of_an_undecided_match_is_not_given_away_by_a_weaker_key() -> None:
    ours = [own(1, "Hansen", vat_number="1"), own(2, vat_number="1")]
    found = match_customers([arriving(7, vat_number="1"), arriving(8, "Hansen")], ours)
    assert found.links == {}
    assert [entry.external_number for entry in found.ambiguous] == ["7", "8"]


def test_customers_without_anything_to_compare_match_nobody() -> None:
    assert match_customers([arriving(7, ".", vat_number="0000")], [own(1, ",", vat_number="000")]) == Matches({}, [])


small = st.sampled_from(["", "1", "2", "3"])
customers = st.lists(st.tuples(small, small, small), max_size=7)


@pytest.mark.requirement("B11")
@given(customers, customers)
def test_links_are_never_a_guess(theirs: list[tuple[str, str, str]], ours: list[tuple[str, str, str]]) -> None:
    def fields(vat: str, mail: str) -> dict[str, str | None]:
        return {"vat_number": vat or None, "email": f"{mail}@x.example" if mail else None}

    coming = [arriving(i, f"n{n}" if n else f"t{i}", **fields(v, m)) for i, (v, m, n) in enumerate(theirs)]
    local = [own(i, f"n{n}" if n else f"o{i}", **fields(v, m)) for i, (v, m, n) in enumerate(ours)]
    found = match_customers(coming, local)
    by_number = {customer.external_number: keys_of(customer) for customer in coming}
    by_id = {customer.id: keys_of(customer) for customer in local}
    assert max(Counter(found.links.values()).values(), default=1) == 1
    assert not set(found.links.values()) & {entry.external_number for entry in found.ambiguous}
    for own_id, number in found.links.items():
        assert not by_id[own_id].contradicts(by_number[number])
        shared = [k for k in ("vat_number", "email", "name") if by_id[own_id].get(k) == by_number[number].get(k) != ""]
        assert shared
        if shared[0] == "vat_number":
            assert [keys.vat_number for keys in by_id.values()].count(by_id[own_id].vat_number) == 1
            assert [keys.vat_number for keys in by_number.values()].count(by_id[own_id].vat_number) == 1


@pytest.mark.requirement("B11")
def test_customer_of_a_pushed_invoice_is_found_by_the_strongest_key_that_hits() -> None:
    by_vat = economic_customer(customer_number=1, corporate_identification_number="DK12345674", name="Other")
    by_mail = economic_customer(customer_number=2, email="a@x.example", name="Other")
    by_name = economic_customer(customer_number=3, name="HANSEN")
    wanted = local_customer(name="Hansen", vat_number="12345674", email="a@x.example")
    for customers_given, number, key in (
        ([by_name, by_mail, by_vat], 1, "vat_number"),
        ([by_name, by_mail], 2, "email"),
        ([by_name], 3, "name"),
    ):
        found = find_in_economic(wanted, customers_given)
        assert found.customer is not None
        assert (found.customer.customer_number, found.matched_by) == (number, key)


@pytest.mark.requirement("F16")
def test_several_candidates_for_a_pushed_invoice_are_not_chosen_between() -> None:
    pair = [economic_customer(customer_number=number, name="Hansen") for number in (1, 2)]
    found = find_in_economic(local_customer(name="Hansen"), [*pair, pair[0]])
    assert found.ambiguous
    assert found.customer is None
    assert [candidate.customer_number for candidate in found.candidates] == [1, 2]


def test_nobody_found_is_neither_a_match_nor_ambiguous() -> None:
    other = economic_customer(name="Hansen", vat_number="87654321")
    found = find_in_economic(local_customer(name="Hansen", vat_number="12345674"), [other])
    assert (found.customer, found.ambiguous, found.matched_by) == (None, False, None)


def test_names_are_compared_without_case_punctuation_and_spacing() -> None:
    assert normalise_name(" Nørre  Tømrer, ApS. ") == normalise_name("NØRRE TØMRER APS") == "nørre tømrer aps"
