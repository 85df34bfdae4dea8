"""Disconnecting and reconnecting: data stays, tags go, drafts unlock, booked stay locked; then it goes on."""

from typing import Any

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from test_push_walk import CREATED, FAILED, SYNCED, drafts, linked

CLOSED, DISCONNECT = "economic.connection.closed", "pike.disconnect.requested"


async def state(running: Harness) -> dict[str, Any]:
    """Return what a disconnect may and may not change."""
    found = await running.rows(
        """select (select count(*) from pike.products) as products, (select count(*) from pike.customers) as customers,
                  (select count(*) from pike.invoices) as invoices,
                  (select count(*) from pike_reporting.economic_tags where workspace_id = $1) as tags,
                  (select count(*) from pike.invoices where locked and booked_number is not null) as locked_booked,
                  (select count(*) from pike.invoices where locked and booked_number is null) as locked_drafts""",
        WORKSPACE,
    )
    return found[0]


@pytest.mark.requirement("R8", "R12", "R22")
async def test_a_disconnect_keeps_the_data_takes_the_tags_and_unlocks_drafts_only(running: Harness) -> None:
    await running.import_all()
    before = await state(running)
    assert min(before.values()) > 0
    await running.request(DISCONNECT, {"requested_by": "anna"}, CLOSED)
    assert await state(running) == {**before, "tags": 0, "locked_drafts": 0}
    row = (await running.rows("select status, grant_sealed, grant_key_id from economic.connections"))[0]
    assert tuple(row.values()) == ("closed", None, None)
    actor = await running.value("select actor from economic.access_audit where action = 'disconnected'")
    assert actor == "pike:anna"


@pytest.mark.requirement("R8", "R21")
async def test_reconnecting_the_same_agreement_goes_on_where_it_was(running: Harness) -> None:
    await running.import_all()
    before = await state(running)
    ids = await running.rows("select entity, id, external_number from pike_reporting.economic_tags order by 1, 2")
    await running.request(DISCONNECT, {}, CLOSED)
    held = await running.publish(CREATED, {"invoice": await linked(running)})
    await running.connect()
    assert (await state(running))["tags"] == before["tags"]
    await running.import_all()
    again = await running.rows("select entity, id, external_number from pike_reporting.economic_tags order by 1, 2")
    assert [row for row in ids if row not in again] == []
    assert (await running.answer(held, SYNCED, FAILED)) is not None


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("chosen", ["halt", "default"])
async def test_a_product_that_is_not_in_e_conomic_stops_the_invoice_or_is_replaced_as_chosen(
    launch: Launch, chosen: str
) -> None:
    async with launch() as running:
        await running.connect()
        number = next(product.number for product in running.agreement.products if not product.barred)
        request = await linked(running)
        async with running.pike() as pike:
            request["lines"][0]["product_id"] = str(
                await pike.fetchval(
                    "insert into pike.products (workspace_id, name) values ($1, 'X') returning id", WORKSPACE
                )
            )
            await pike.execute(
                """update economic.connections set on_missing_product = $1,
                   defaults = defaults || jsonb_build_object('default_product', $2::text)""",
                chosen, number,
            )  # fmt: skip
        answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
        assert answer.type == (SYNCED if chosen == "default" else FAILED)
        products = [line.product for draft in drafts(running.agreement, request) for line in draft.lines]
        assert products == ([number] if chosen == "default" else [])
