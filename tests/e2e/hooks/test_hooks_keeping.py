"""Our webhooks in e-conomic (B10): made on connect, repaired when switched off, taken back, never anybody else's."""

import pytest
from hooks_kit import Called
from support import eventually

from worker.handlers.hooks.keeping import HEADER
from worker.sandbox import Agreement, Sandbox
from worker.sandbox.hooks import Hook


@pytest.mark.requirement("B10")
async def test_connecting_makes_the_hooks_with_a_secret_of_the_connections_own(bare: Called, sandbox: Sandbox) -> None:
    other = sandbox.add_agreement()
    await bare.running.connect()
    await bare.running.connect("ws-other", agreement=other)
    await eventually(lambda: len(bare.running.agreement.hooks.by_type) == 3 == len(other.hooks.by_type), timeout_s=20)
    secrets = {dict(hook.headers)[HEADER] for hook in bare.running.agreement.hooks.by_type.values()}
    others = {dict(hook.headers)[HEADER] for hook in other.hooks.by_type.values()}
    assert len(secrets) == len(others) == 1
    assert secrets != others
    assert all(len(secret) >= 40 for secret in secrets | others)
    stored = await bare.running.rows("select to_jsonb(r)::text as row from economic.hook_receivers r")
    assert not [row for row in stored for secret in secrets if secret in row["row"]]


@pytest.mark.requirement("B10")
async def test_somebody_elses_hook_is_left_untouched_and_told(bare: Called, agreement: Agreement) -> None:
    theirs = Hook("CUSTOMER_UPDATED", "Shop", "https://shop.example/hook", "application/json", agreement.now())
    agreement.hooks.put(theirs)
    before = (theirs.url, theirs.version, theirs.headers)
    await bare.running.connect()
    await bare.hooks_are(CUSTOMER_UPDATED="taken")
    await bare.check_hooks()
    await bare.running.request("pike.disconnect.requested", {}, "economic.connection.closed")
    kept = agreement.hooks.by_type["CUSTOMER_UPDATED"]
    assert kept is theirs
    assert (kept.url, kept.version, kept.headers) == before
    assert sorted(agreement.hooks.by_type) == ["CUSTOMER_UPDATED"]


@pytest.mark.requirement("B10")
async def test_a_hook_that_was_switched_off_is_noticed_and_switched_on(called: Called, agreement: Agreement) -> None:
    agreement.hooks.disable("PRODUCT_UPDATED")
    await called.check_hooks()
    assert agreement.hooks.by_type["PRODUCT_UPDATED"].disabled is False
    sql = "select repaired, disabled_at is not null as seen from economic.hooks where event_type = 'PRODUCT_UPDATED'"
    assert await called.running.rows(sql) == [{"repaired": 1, "seen": True}]
    assert await called.running.value("select sum(repaired) from economic.hooks") == 1


@pytest.mark.requirement("B10")
async def test_a_hook_that_was_removed_or_changed_is_made_anew(called: Called, agreement: Agreement) -> None:
    del agreement.hooks.by_type["INVOICE_BOOKED"]
    agreement.hooks.by_type["CUSTOMER_UPDATED"].headers = ((HEADER, "changed"),)
    await called.check_hooks()
    assert sorted(agreement.hooks.by_type) == ["CUSTOMER_UPDATED", "INVOICE_BOOKED", "PRODUCT_UPDATED"]
    assert len({hook.headers for hook in agreement.hooks.by_type.values()}) == 1


@pytest.mark.requirement("B10")
async def test_a_healthy_look_costs_one_call_and_changes_nothing(called: Called, sandbox: Sandbox) -> None:
    versions = {name: hook.version for name, hook in called.running.agreement.hooks.by_type.items()}
    before = len(sandbox.requests)
    await called.check_hooks()
    assert [r.method for r in sandbox.requests[before:]] == ["GET"]
    assert {name: hook.version for name, hook in called.running.agreement.hooks.by_type.items()} == versions


@pytest.mark.requirement("B10")
async def test_a_role_that_does_not_reach_leaves_the_schedule_alone_to_it(bare: Called, agreement: Agreement) -> None:
    agreement.role = "Sales"
    await bare.running.connect()
    none = dict.fromkeys(("CUSTOMER_UPDATED", "INVOICE_BOOKED", "PRODUCT_UPDATED"), "no_access")
    await bare.hooks_are(**none)
    assert await bare.running.value("select count(*) from economic.dead_letters") == 0
    agreement.role = "SuperUser"
    await bare.check_hooks()
    await bare.hooks_are()


@pytest.mark.requirement("B10")
async def test_a_lost_answer_makes_no_second_hook(bare: Called, sandbox: Sandbox) -> None:
    sandbox.add_fault("drop_after", method="POST", path="/openapi/webhooksapi", times=1)
    await bare.running.connect()
    await bare.hooks_are()
    made = [r for r in sandbox.requests if r.method in ("POST", "PUT") and "webhooksapi" in r.path]
    assert len(made) == 3


@pytest.mark.requirement("B10")
async def test_a_disconnect_takes_the_hooks_back_and_calls_are_refused_afterwards(
    called: Called, agreement: Agreement
) -> None:
    secret = await called.secret()
    await called.running.request("pike.disconnect.requested", {}, "economic.connection.closed")
    assert not agreement.hooks.by_type
    sql = "select array_agg(distinct state) from economic.hooks"
    assert await called.running.value(sql) == ["off"]

    async def refused() -> bool:
        return await called.call("event=CUSTOMER_UPDATED\nold=2\nnew=2", secret=secret) == 404

    await eventually(refused, timeout_s=15, message="a closed connection is not called")
    await called.running.connect()
    await called.hooks_are()


@pytest.mark.requirement("B10")
async def test_a_disconnect_works_while_economic_is_away(called: Called, sandbox: Sandbox) -> None:
    sandbox.add_fault("status", path="webhooksapi", status=503)
    closed = await called.running.request("pike.disconnect.requested", {}, "economic.connection.closed")
    assert closed.data.agreement_number == called.running.agreement.number


@pytest.mark.requirement("B10")
async def test_a_connection_whose_key_is_lost_can_still_be_closed(called: Called) -> None:
    await called.running.rows("update economic.connections set grant_key_id = 'lost'")
    await called.running.request("pike.disconnect.requested", {}, "economic.connection.closed")
    assert await called.running.value("select status from economic.connections") == "closed"


@pytest.mark.requirement("B10")
async def test_hooks_set_up_by_hand_are_accepted_and_left_as_they_are(bare: Called, agreement: Agreement) -> None:
    agreement.role = "Sales"  # our access does not reach webhooks: somebody sets them up by hand
    await bare.running.connect()
    await bare.running.import_all()
    for event_type, url in (await bare.by_hand()).items():
        agreement.configure_hook(event_type, url)
    agreement.rename_customer(2, "Nyt Navn ApS")
    sql = "select name = 'Nyt Navn ApS' from pike.customers where external_number = '2'"
    await eventually(lambda: bare.running.value(sql), timeout_s=20)
    agreement.role = "SuperUser"
    await bare.check_hooks()
    await bare.hooks_are()
    assert {hook.owner for hook in agreement.hooks.by_type.values()} == {"ui"}


@pytest.mark.requirement("B10")
async def test_hooks_that_fail_are_switched_off_by_economic_and_on_again_by_us(
    called: Called, agreement: Agreement, sandbox: Sandbox
) -> None:
    sandbox.hook_sender._pause_s = 0.01
    sandbox.add_fault("drop_before", method="POST", path="/hooks/CUSTOMER_UPDATED")
    for index in range(5):
        agreement.rename_customer(2, f"Name {index}")
    await eventually(lambda: agreement.hooks.by_type["CUSTOMER_UPDATED"].disabled)
    sandbox.faults.clear()
    await called.check_hooks()
    agreement.rename_customer(2, "Last")
    sql = "select name = 'Last' from pike.customers where external_number = '2'"
    await eventually(lambda: called.running.value(sql), timeout_s=20)
