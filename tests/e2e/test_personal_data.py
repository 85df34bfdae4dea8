"""Giving out and erasing what is kept about a customer or a workspace: afterwards no table knows the person."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from harness import WORKSPACE, Harness
from test_cli import call, env  # noqa: F401  # env is a fixture
from test_push_walk import CREATED, FAILED, SYNCED, invoice

from worker.runtime.reconcile import reconcile
from worker.runtime.replay import discard
from worker.sandbox import Agreement
from worker.store import dead_letters
from worker.store.personal import places

Env = dict[str, str]

NUMBER = 2
PLANTED = (
    "Søren Hemmeligsen",
    "soren@hemmelig.example",
    "Plantevej 77",
    "DK98765432",
    "Sören Fordum",
    "fordum@hemmelig",
)
"""Name, e-mail, address and VAT number of a customer, and what it was called before."""

_MACHINE = {
    "access_audit": "actor action workspace_id address",
    "audit": "workspace_id entity actor",
    "connect_attempts": "workspace_id link_nonce requested_by stage ended_because grant_key_id agreement",
    "connections": "workspace_id company_name base_currency status grant_key_id booking on_missing_product "
    "on_missing_customer defaults",
    "customer_matches": "workspace_id external_number matched_by state",
    "dead_letters": "source event_id type workspace_id lane content_type cause state closed_by",
    "effects": "step workspace_id reference state external_number",
    "import_pages": "stage",
    "import_preview": "entity action external_number list",
    "import_rejects": "entity external_number",
    "imports": "event_source event_id workspace_id mode requested_by traceparent state counts",
    "hints": "entity external_number renamed_from",
    "hook_receivers": "secret_key_id reading_id",
    "hooks": "event_type state",
    "inbox": "source event_id type workspace_id lane content_type state outcome owner",
    "operator_audit": "operator action",
    "operator_requests": "workspace_id type operator",
    "overflow": "lane workspace_id routing_key message_id content_type",
    "outbox": "event_id type workspace_id exchange routing_key content_type",
    "replay_letters": "state watch_source watch_event_id cause",
    "schedules": "run_id last_state",
    "sync_marks": "workspace_id mark value",
}
MACHINE = {(f"economic.{table}", column) for table, columns in _MACHINE.items() for column in columns.split()}
"""Columns that hold names and numbers of ours, ids, and people who connect and operate: nothing about customers."""


async def everything(running: Harness, *, workspace: str | None = None) -> dict[str, str]:
    """Return all text of every table, bodies as text, whatever the columns are."""
    found = {}
    tables = await running.rows(
        """select format('%I.%I', schemaname, tablename) as name from pg_tables
           where schemaname in ('economic', 'pike', 'public')"""
    )
    async with running.pike() as pike:
        for table in tables:
            rows = [dict(row) for row in await pike.fetch(f"select * from {table['name']}")]
            rows = [row for row in rows if workspace is None or row.get("workspace_id") == workspace]
            texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for r in rows for v in r.values()]
            texts += [json.dumps(text, ensure_ascii=False) for text in texts]
            texts += [text.encode().decode("unicode_escape", "replace") for text in texts if "\\u" in text]
            found[table["name"]] = "\n".join(texts)
    return found


SCHEDULED = tuple(f"economic.{name}" for name in ("schedules", "hook_receivers", "hooks", "hints"))


async def at_rest(running: Harness, workspace: str | None = None) -> dict[str, str]:
    """The same, without what a worker writes by itself: answers on their way out, its signs of life."""
    moving = ("economic.outbox", "economic.workers", "economic.lane_samples", "economic.work_samples", *SCHEDULED)
    return {name: text for name, text in (await everything(running, workspace=workspace)).items() if name not in moving}


def knows(found: dict[str, str]) -> dict[str, set[str]]:
    """Return table → what it still knows of the person."""
    return {
        table: known
        for table, text in found.items()
        if (known := {word for word in PLANTED if word.lower() in text.lower()})
    }


@pytest.fixture
async def person(running: Harness, agreement: Agreement) -> UUID:
    """A customer who has left traces everywhere: two imports, a preview, an invoice, dead letters, an edit."""
    agreement.change_customer(NUMBER, name="Sören Fordum", email="fordum@hemmelig.example", cvr="DK98765432")
    await running.import_all("customers", "products")
    agreement.change_customer(
        NUMBER, name="Søren Hemmeligsen", email="soren@hemmelig.example", address="Plantevej 77\n1. tv."
    )
    await running.refresh("customer", external_number=str(NUMBER))
    customer: UUID = await running.value("select id from pike.customers where external_number = $1", str(NUMBER))
    product = await running.value("select id from pike.products where locked and not barred order by id limit 1")
    wanted = invoice(customer, product, title="Rapport til Søren Hemmeligsen")
    wanted["lines"][0]["description"] = "Møde på PLANTEVEJ 77"
    answer = await running.request(CREATED, {"invoice": wanted}, SYNCED, FAILED)
    assert answer.type == SYNCED, answer.data
    agreement.change_customer(NUMBER, name="Søren Hemmeligsen II")
    event = await running.publish("pike.import.requested", {"entities": ["customers"], "dry_run": True})
    await running.answer(event, "economic.import.previewed")
    bad = invoice(customer, None, title="x")
    bad["lines"][0]["quantity"] = "-1e99"
    inline = {"id": str(customer), "name": "Søren Hemmeligsen", "email": "soren@hemmelig.example", "zip": "9999"}
    await running.request(CREATED, {"invoice": {**bad, "id": wanted["id"]}, "customer": inline}, SYNCED, FAILED)
    body = json.dumps({"customer": {"id": str(customer), "name": "Søren Hemmeligsen", "city": "Byen"}}).encode()
    async with running.pike() as pike:
        await pike.execute(
            """insert into economic.outbox (event_id, type, workspace_id, exchange, routing_key, content_type, body,
                                            unheard, leased_until)
               values ('x', 'y', $1, 'pike.events', 'y', 'application/json', $2, true, now() + interval '1 hour')""",
            WORKSPACE, body,
        )  # fmt: skip
        await pike.execute(
            """insert into economic.import_rejects (import_id, entity, external_number, reason, raw)
               select id, 'invoices', '9', 'Søren Hemmeligsen: odd', '{"e":"soren@hemmelig.example"}'
               from economic.imports limit 1"""
        )
    return customer


async def letter_of(running: Harness) -> Any:
    database = running.worker.dispatcher.database
    async with database.connection("test") as connection:
        found = await dead_letters.search(connection)
    return found[0] if found else None


async def settle(running: Harness) -> None:
    """Decide the open letters, one of them after an edit that is on record."""
    while letter := await letter_of(running):
        async with running.pike() as pike:
            await pike.execute(
                """insert into economic.operator_audit (operator, action, letter_id, reason, before, after)
                   values ('x', 'edit', $1, 'for Søren Hemmeligsen', $2, $2)""",
                letter.id, letter.body,
            )  # fmt: skip
        await discard(running.worker.dispatcher.database, letter.id, "tester", "asked by soren@hemmelig.example")


async def test_every_column_is_sorted(running: Harness) -> None:
    """A column of text, JSON or bytes is known to be free text, or known to hold none: whoever adds one decides."""
    columns = await running.rows(
        """select table_schema || '.' || table_name as name, column_name as column from information_schema.columns
           where table_schema = 'economic' and data_type in ('text', 'jsonb', 'bytea')
             and table_name not in (select viewname from pg_views where schemaname = 'economic')"""
    )
    free = {(p.table, c) for p in places.LOGS for c in (*p.texts, *p.documents, *p.bodies)}
    unsorted = {
        (row["name"], row["column"])
        for row in columns
        if row["name"] not in places.OF_NOBODY and not row["column"].endswith(places.SECRET)
    } - free
    assert unsorted == MACHINE, "free text goes to worker.store.personal.places.LOGS, the rest to MACHINE"


async def test_an_erasure_waits_for_what_is_not_settled(running: Harness, env: Env, person: UUID) -> None:  # noqa: F811
    letter = await letter_of(running)
    said = await call(env, "data", "erase", "-w", WORKSPACE, "--customer", str(person), "--yes", "--json")
    assert (said.code, said.json["erased"]) == (1, False)
    assert said.json["obstacles"] == [
        f"dead letter {letter.id} about this customer is open: replay or discard it first"
    ]
    assert knows(await everything(running))["pike.customers"]


async def test_a_dry_run_says_what_would_go_and_changes_nothing(
    running: Harness,
    env: Env,  # noqa: F811
    person: UUID,
) -> None:
    await settle(running)
    before = await at_rest(running)
    said = await call(env, "data", "erase", "-w", WORKSPACE, "--customer", str(person), "--dry-run", "--json")
    assert (said.code, said.json["erased"], said.json["ignored_number"]) == (0, False, str(NUMBER))
    assert said.json["rows"]["pike.customers"] == 1
    assert await at_rest(running) == before


@pytest.mark.requirement("B14")
async def test_an_erased_customer_is_in_no_table_and_does_not_come_back(
    running: Harness,
    env: Env,  # noqa: F811
    agreement: Agreement,
    person: UUID,
) -> None:
    await settle(running)
    before = knows(await everything(running))
    assert set(before) >= {
        "pike.customers", "pike.invoices", "pike.invoice_lines", "economic.audit", "economic.dead_letters",
        "economic.outbox", "economic.effects", "economic.import_preview", "economic.import_rejects",
        "economic.operator_audit",
    }, before  # fmt: skip
    said = await call(env, "data", "erase", "-w", WORKSPACE, "--customer", str(person), "--yes")
    assert said.code == 0, said.err
    assert "Number 2 is on the ignore list" in said.out
    assert knows(await everything(running)) == {}

    row = (await running.rows("select name, active, zip, external_number from pike.customers where id = $1", person))[0]
    assert row == {"name": "[erased]", "active": False, "zip": None, "external_number": str(NUMBER)}
    kept = await running.rows("select title, net_amount from pike.invoices where customer_id = $1", person)
    assert [each["title"] for each in kept if each["title"].startswith("Rapport til")] == ["Rapport til [erased]"]
    act = (await running.rows("select actor, details from economic.access_audit where action = 'data_erased'"))[0]
    assert json.loads(act["details"])["customer"] == str(person)

    dispatcher = running.worker.dispatcher
    proof = await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)
    assert (proof.lost, proof.double) == (0, 0)
    await running.import_all("customers")
    await running.refresh("customer", external_number=str(NUMBER))
    assert "pike.customers" not in knows(await everything(running))
    resolved = await call(env, "import", "matches", "resolve", str(NUMBER), "-w", WORKSPACE, "--new")
    assert resolved.code == 0, resolved.err
    assert await running.value("select name from pike.customers where id = $1", person) == "Søren Hemmeligsen II"


async def test_a_customer_that_is_not_there_and_a_wish_that_is_not_clear_are_refused(
    running: Harness,
    env: Env,  # noqa: F811
) -> None:
    missing = await call(env, "data", "erase", "-w", WORKSPACE, "--customer", str(uuid4()), "--yes")
    assert (missing.code, "has no customer" in missing.err) == (1, True)
    assert (await call(env, "data", "erase", "-w", WORKSPACE)).code == 2
    assert (await call(env, "data", "erase", "-w", WORKSPACE, "--yes", "--dry-run")).code == 2


async def test_an_export_of_a_customer_has_all_of_it_and_no_secret(
    running: Harness,
    env: Env,  # noqa: F811
    person: UUID,
) -> None:
    given = await call(env, "data", "export", "-w", WORKSPACE, "--customer", str(person))
    assert given.code == 0, given.err
    rows = [json.loads(line) for line in given.out.splitlines()]
    assert {row["table"] for row in rows} >= set(knows(await everything(running)))
    (own,) = [row["row"] for row in rows if row["table"] == "pike.customers"]
    assert own["primary_contact_email"] == "soren@hemmelig.example"
    everyone = await call(env, "data", "export", "-w", WORKSPACE)
    assert everyone.code == 0
    assert '"economic.connections"' in everyone.out
    assert "grant_sealed" not in everyone.out
    assert (await call(env, "data", "export", "-w", "ws-unknown")).code == 1


async def test_a_workspace_is_erased_after_it_was_disconnected_and_keeps_what_accounts_need(
    running: Harness,
    env: Env,  # noqa: F811
    agreement: Agreement,
    person: UUID,
) -> None:
    await running.import_all()
    early = await call(env, "data", "erase", "-w", WORKSPACE, "--yes", "--json")
    assert (early.code, "disconnect" in early.json["obstacles"][0]) == (1, True)
    await running.connect("ws-other", agreement=running.sandbox.add_agreement(seed=5))
    await running.refresh("customer", external_number="1", workspace="ws-other")
    others = await at_rest(running, workspace="ws-other")
    ledger = await running.rows("select subject_id, step, state, external_number, reference from economic.effects")
    events = await running.rows("select source, event_id, state from economic.inbox where workspace_id = $1", WORKSPACE)
    amounts = await running.rows(
        """select booked_number, net_amount, gross_amount from pike.invoices
           where workspace_id = $1 and booked_number is not null order by 1""",
        WORKSPACE,
    )
    await running.request(
        "pike.disconnect.requested", {"requested_by": "Søren Hemmeligsen"}, "economic.connection.closed"
    )

    said = await call(env, "data", "erase", "-w", WORKSPACE, "--yes", "--json")
    assert (said.code, said.json["obstacles"]) == (0, [])
    assert knows(await everything(running)) == {}
    assert await at_rest(running, workspace="ws-other") == others
    kept = await running.rows(
        """select booked_number, net_amount, gross_amount from pike.invoices where workspace_id = $1 order by 1""",
        WORKSPACE,
    )
    assert len(kept) > 0
    assert [row for row in kept if row not in amounts] == []
    names = await running.rows("select distinct name from pike.customers where workspace_id = $1", WORKSPACE)
    assert names == [{"name": "[erased]"}]
    assert (
        await running.rows("select subject_id, step, state, external_number, reference from economic.effects") == ledger
    )
    left = await running.rows("select source, event_id, state from economic.inbox where workspace_id = $1", WORKSPACE)
    assert [row for row in events if row not in left] == []
    for table in ("connections", "imports", "audit", "outbox", "customer_matches"):
        assert await running.value(f"select count(*) from economic.{table} where workspace_id = $1", WORKSPACE) == 0
    dispatcher = running.worker.dispatcher
    proof = await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)
    assert (proof.lost, proof.double) == (0, 0)


async def test_invoices_that_no_account_needs_any_more_go(running: Harness, env: Env) -> None:  # noqa: F811
    await running.import_all()
    async with running.pike() as pike:
        await pike.execute("set pike_economic.writer = 'worker'")
        await pike.execute(
            """update pike.invoices set issue_date = '2015-01-01' where id in (
               select id from pike.invoices where booked_number is not null order by booked_number limit 5)"""
        )
        old = [row["id"] for row in await pike.fetch("select id from pike.invoices where issue_date = '2015-01-01'")]
    await running.request("pike.disconnect.requested", {}, "economic.connection.closed")
    assert (await call(env, "data", "erase", "-w", WORKSPACE, "--yes")).code == 0
    assert await running.value("select count(*) from pike.invoices where id = any($1)", old) == 0
    assert await running.value("select count(*) from pike.invoices where booked_number is null") == 0
    assert await running.value("select count(*) from pike.invoices") > 0
