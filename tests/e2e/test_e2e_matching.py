"""B11: which of Pike's customers is which of e-conomic's: VAT number, e-mail, name; the ambiguous are left alone."""

from typing import Any
from uuid import UUID

import pytest
from harness import WORKSPACE, Harness

from worker.sandbox import Agreement

pytestmark = pytest.mark.requirement("B11", "F16")


async def own_customer(running: Harness, name: str, **fields: str) -> UUID:
    """A customer that Pike had before e-conomic was connected."""
    row = {"name": name, "workspace_id": WORKSPACE, **fields}
    columns, places = ", ".join(row), ", ".join(f"${index}" for index in range(1, len(row) + 1))
    return await running.value(f"insert into pike.customers ({columns}) values ({places}) returning id", *row.values())


async def number_of(running: Harness, customer: UUID) -> str | None:
    return await running.value("select external_number from pike.customers where id = $1", customer)


async def open_matches(running: Harness) -> dict[str, dict[str, Any]]:
    rows = await running.rows("select * from economic.customer_matches where state = 'open'")
    return {row["external_number"]: row for row in rows}


@pytest.mark.parametrize("written", ["87654321", "DK87654321", "DK 87 65 43 21", "dk-87654321", "CVR 87654321"])
async def test_a_vat_number_links_however_it_is_written(running: Harness, agreement: Agreement, written: str) -> None:
    agreement.change_customer(2, cvr="DK87654321", name="Heder noget andet ApS")
    mine = await own_customer(running, "Vores navn", vat_number=written)
    await running.import_all("customers")
    assert await number_of(running, mine) == "2"


async def test_an_email_links_when_no_vat_number_does(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, email="Post@Kunde-To.example ekstra@kunde-to.example", cvr=None)
    mine = await own_customer(running, "Vores navn", primary_contact_email="post@kunde-to.EXAMPLE")
    await running.import_all("customers")
    assert await number_of(running, mine) == "2"


async def test_a_name_links_when_nothing_better_does(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, name="Møller & Søn ApS")
    mine = await own_customer(running, "møller  &  søn aps.")
    await running.import_all("customers")
    assert await number_of(running, mine) == "2"


async def test_a_linked_customer_keeps_its_id_and_takes_economics_fields(
    running: Harness, agreement: Agreement
) -> None:
    agreement.change_customer(2, cvr="87654321", name="e-conomics navn")
    mine = await own_customer(running, "Pikes navn", vat_number="87654321")
    await running.import_all("customers")
    rows = await running.rows("select id, name from pike.customers where external_number = '2'")
    assert rows == [{"id": mine, "name": "e-conomics navn"}]


async def test_another_vat_number_is_never_linked_however_alike(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, cvr="11111111", name="Samme Navn ApS", email="samme@kunde.example")
    mine = await own_customer(
        running, "Samme Navn ApS", vat_number="22222222", primary_contact_email="samme@kunde.example"
    )
    await running.import_all("customers")
    assert await number_of(running, mine) is None


async def test_two_customers_of_pike_with_one_vat_number_are_left_alone(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, cvr="87654321")
    mine = [await own_customer(running, f"Tvilling {n}", vat_number="87654321") for n in (1, 2)]
    await running.import_all("customers")
    assert [await number_of(running, one) for one in mine] == [None, None]


async def test_two_economic_customers_with_one_vat_number_are_left_alone(
    running: Harness, agreement: Agreement
) -> None:
    for number in (2, 3):
        agreement.change_customer(number, cvr="87654321")
    mine = await own_customer(running, "Afdelingen", vat_number="DK 87654321")
    await running.import_all("customers")
    assert await number_of(running, mine) is None


async def test_ambiguous_customers_are_listed_with_their_candidates(running: Harness, agreement: Agreement) -> None:
    for number in (2, 3):
        agreement.change_customer(number, cvr="87654321")
    mine = await own_customer(running, "Afdelingen", vat_number="DK 87654321")
    await running.import_all("customers")
    listed = {n: (row["matched_by"], row["candidates"]) for n, row in (await open_matches(running)).items()}
    assert listed == {"2": ("vat_number", [mine]), "3": ("vat_number", [mine])}


async def test_an_ambiguous_customer_gets_no_row_by_a_guess(running: Harness, agreement: Agreement) -> None:
    for number in (2, 3):
        agreement.change_customer(number, cvr="87654321")
    await own_customer(running, "Afdelingen", vat_number="DK 87654321")
    await running.import_all()
    assert await running.value("select count(*) from pike.customers where external_number in ('2', '3')") == 0


async def test_ambiguous_customers_are_counted_as_rejected_with_the_reason(
    running: Harness, agreement: Agreement
) -> None:
    for number in (2, 3):
        agreement.change_customer(number, cvr="87654321")
    await own_customer(running, "Afdelingen", vat_number="DK 87654321")
    done = await running.import_all("customers")
    reasons = await running.rows("select reason from economic.import_rejects where entity = 'customers'")
    assert done.data.counts["customers"].rejected == 2
    assert ["VAT number fits more than one" in row["reason"] for row in reasons] == [True, True]


async def test_a_refresh_does_not_guess_either(running: Harness, agreement: Agreement) -> None:
    for number in (2, 3):
        agreement.change_customer(number, cvr="87654321")
    mine = await own_customer(running, "Afdelingen", vat_number="87654321")
    failed = await running.refresh("customer", external_number="2")
    assert failed.data.problem.cause == "ambiguous_match"
    assert await number_of(running, mine) is None


async def test_a_customer_of_another_workspace_is_no_candidate(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, cvr="87654321")
    foreign = await running.value(
        """insert into pike.customers (workspace_id, name, vat_number) values ('ws-other', 'Fremmed', '87654321')
           returning id"""
    )
    await running.import_all("customers")
    assert await number_of(running, foreign) is None


async def test_a_second_import_makes_no_second_row_for_linked_customers(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, cvr="87654321")
    await own_customer(running, "Vores", vat_number="87654321")
    await running.import_all("customers")
    again = await running.import_all("customers")
    counts = again.data.counts["customers"]
    assert (counts.created, counts.updated, counts.unchanged) == (0, 0, len(agreement.customers))


async def test_an_ambiguity_solved_in_economic_is_linked_by_the_next_import(
    running: Harness, agreement: Agreement
) -> None:
    for number in (2, 3):
        agreement.change_customer(number, cvr="87654321")
    mine = await own_customer(running, "Afdelingen", vat_number="87654321")
    await running.import_all("customers")
    agreement.change_customer(3, cvr="99887766")
    await running.import_all("customers")
    assert await number_of(running, mine) == "2"
    assert await open_matches(running) == {}
