"""Retention: what has ended and is old goes, in stretches; what is unfinished, unknown, parked or undecided stays."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from store_kit import AGREEMENT, WS

from worker.clock import SystemClock
from worker.runtime.retention import Retention
from worker.settings import RETENTION_DAYS
from worker.store import proof, retention
from worker.store.pool import Database
from worker.telemetry import metrics

OLD, YOUNG = "now() - interval '3000 days'", "now() - interval '1 hour'"


@pytest.fixture
def pruner(database: Database) -> Retention:
    return Retention(database, SystemClock(), RETENTION_DAYS)


async def event(pike: asyncpg.Connection, state: str, at: str = OLD, source: str = "/pike") -> str:
    event_id = str(uuid4())
    await pike.execute(
        f"""insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, outcome,
                                        received_at, updated_at, finished_at, lease_until)
            values ('{source}', $1, 'pike.invoice.created', '{WS}', 'work', '\\x00', $2, 'done', {at}, {at},
                    case when $2 in ('done', 'dead') then {at} end, now() + interval '1 hour')""",
        event_id, state,
    )  # fmt: skip
    return event_id


async def letter(pike: asyncpg.Connection, event_id: str, state: str, at: str = OLD) -> Any:
    return await pike.fetchval(
        f"""insert into economic.dead_letters (id, source, event_id, workspace_id, lane, body, cause, problem, state,
                                               received_at, buried_at, closed_at)
            values (gen_random_uuid(), '/pike', $1, '{WS}', 'work', '{{}}', 'x', '{{}}', $2, {at}, {at},
                    case when $2 <> 'open' then {at} end) returning id""",
        event_id, state,
    )  # fmt: skip


async def import_(pike: asyncpg.Connection, state: str, at: str = OLD, **more: Any) -> Any:
    values = {"entities": ["customers"], "dry_run": False, "event_id": str(uuid4()), **more}
    return await pike.fetchval(
        f"""insert into economic.imports (id, event_source, event_id, workspace_id, agreement_number, entities, mode,
                                          dry_run, state, started_at, finished_at)
            values (gen_random_uuid(), '/pike', $1, '{WS}', {AGREEMENT}, $2, 'full', $3, $4, {at},
                    case when $4 <> 'running' then {at} end) returning id""",
        values["event_id"], values["entities"], values["dry_run"], state,
    )  # fmt: skip


async def ids(pike: asyncpg.Connection, table: str, column: str = "id") -> set[Any]:
    return {row[0] for row in await pike.fetch(f"select {column} from {table}")}


async def pruned(pruner: Retention) -> dict[str, int]:
    done = await pruner.prune(every_s=0)
    assert done is not None
    return {table: count for table, count in done.items() if count}


def test_every_kind_has_an_age_and_every_age_a_kind() -> None:
    assert {policy.kind for policy in retention.POLICIES} == set(RETENTION_DAYS)


async def test_old_events_with_an_outcome_go_and_no_others(pike: asyncpg.Connection, pruner: Retention) -> None:
    old = [await event(pike, state) for state in ("done", "dead")]
    kept = [await event(pike, state) for state in ("running", "waiting", "parked", "frozen")]
    kept += [await event(pike, state, YOUNG) for state in ("done", "dead")]
    assert await pruned(pruner) == {"economic.inbox": 2}
    left = await ids(pike, "economic.inbox", "event_id")
    assert (left, set(old) & left) == (set(kept), set())


async def test_an_undecided_letter_keeps_its_event_and_a_closed_one_outlives_it(
    pike: asyncpg.Connection, pruner: Retention, database: Database
) -> None:
    undecided = await event(pike, "dead")
    open_letter = await letter(pike, undecided, "open")
    young = await event(pike, "dead", YOUNG)
    of_young = await letter(pike, young, "discarded")
    gone = await letter(pike, await event(pike, "dead"), "discarded")
    first = await pruned(pruner)
    assert await ids(pike, "economic.inbox", "event_id") == {undecided, young}
    assert await ids(pike, "economic.dead_letters") == {open_letter, of_young}
    assert gone not in {open_letter, of_young}
    assert first == {"economic.inbox": 1, "economic.dead_letters": 1}
    async with database.connection("test") as connection:
        assert await proof.without_outcome(connection, None) == []


async def test_a_campaign_keeps_what_it_may_still_send_and_watch(pike: asyncpg.Connection, pruner: Retention) -> None:
    async def campaign(state: str) -> Any:
        return await pike.fetchval(
            f"""insert into economic.replays
                  (id, selection, rate_per_s, max_failure_share, state, started_by, finished_at)
                values (gen_random_uuid(), '{{}}', 1, 0.5, $1, 'x', {OLD}) returning id""",
            state,
        )

    async def place(replay: Any, state: str, letter_state: str) -> Any:
        event_id = await event(pike, "dead")
        letter_id = await letter(pike, event_id, letter_state)
        await pike.execute(
            """insert into economic.replay_letters (replay_id, letter_id, place, state, watch_source, watch_event_id)
               values ($1, $2, 1, $3, '/pike', $4)""",
            replay, letter_id, state, event_id,
        )  # fmt: skip
        return letter_id

    done, halted, watching = await campaign("done"), await campaign("halted"), await campaign("running")
    await place(done, "done", "replayed")
    resumable = await place(halted, "released", "open")
    sent = await place(watching, "sent", "replayed")
    await pruned(pruner)
    assert await ids(pike, "economic.replays") == {halted, watching}
    assert await ids(pike, "economic.dead_letters") == {resumable, sent}
    assert await pike.fetchval("select count(*) from economic.inbox") == 2


async def test_imports_go_but_for_what_others_stand_on(pike: asyncpg.Connection, pruner: Retention) -> None:
    running = await import_(pike, "running")
    newest = await import_(pike, "completed", "now() - interval '2000 days'")
    failed_open = await event(pike, "dead")
    await letter(pike, failed_open, "open")
    restartable = await import_(pike, "failed", event_id=failed_open)
    undoable = await import_(pike, "completed")
    await pike.execute("set pike_economic.writer = 'worker'")
    await pike.execute(
        "insert into pike.products (workspace_id, name, active, deactivated_by_import) values ($1, 'x', false, $2)",
        WS, undoable,
    )  # fmt: skip
    other_entity = await import_(pike, "completed", entities=["products"])
    for state, options in (("completed", {}), ("failed", {}), ("cancelled", {}), ("completed", {"dry_run": True})):
        await import_(pike, state, **options)
    preview = await import_(pike, "completed", YOUNG, dry_run=True)
    for each in (undoable, preview):
        await pike.execute(
            """insert into economic.import_preview (import_id, entity, action, changes, list)
               values ($1, 'customer', 'create', '[]', 'customers')""",
            each,
        )
    await pruned(pruner)
    assert await ids(pike, "economic.imports") == {running, newest, restartable, undoable, other_entity, preview}
    assert await ids(pike, "economic.import_preview", "import_id") == {preview}


async def test_records_of_changes_and_acts_go_by_age_and_people_cannot_remove_them(
    pike: asyncpg.Connection, pruner: Retention
) -> None:
    for at in (OLD, YOUNG):
        await pike.execute(
            f"""insert into economic.audit (workspace_id, entity, entity_id, actor, changes, at)
                values ('{WS}', 'product', gen_random_uuid(), 'x', '[]', {at});
                insert into economic.access_audit (actor, action, at) values ('x', 'y', {at});
                insert into economic.operator_audit (operator, action, letter_id, at)
                values ('x', 'replay', gen_random_uuid(), {at})"""
        )
    assert await pruned(pruner) == {
        "economic.audit": 1, "economic.access_audit": 1, "economic.operator_audit": 1
    }  # fmt: skip
    for table in ("access_audit", "operator_audit"):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await pike.execute(f"delete from economic.{table}")


async def test_the_ledger_is_never_pruned(pike: asyncpg.Connection, pruner: Retention) -> None:
    for number, state in enumerate(("intent", "done", "unknown", "refused")):
        await pike.execute(
            f"""insert into economic.effects (agreement_number, subject_id, step, workspace_id, reference,
                                              idempotency_key, body, state, fence, first_sent_at, updated_at)
                values ({number}, gen_random_uuid(), 'draft', '{WS}', 'x', 'x', '{{}}', $1, 1, {OLD}, {OLD})""",
            state,
        )
    assert await pruned(pruner) == {}
    assert await pike.fetchval("select count(*) from economic.effects") == 4


async def many(pike: asyncpg.Connection, count: int) -> None:
    await pike.execute(
        f"""insert into economic.inbox
              (source, event_id, type, workspace_id, lane, body_hash, state, outcome, finished_at)
            select '/pike', 'e' || n, 't', '{WS}', 'work', decode(repeat('00', 500), 'hex'), 'done', 'done', {OLD}
            from generate_series(1, $1) n""",
        count,
    )


async def test_a_large_table_goes_in_stretches_and_a_pass_broken_off_is_gone_on_with(
    pike: asyncpg.Connection, pruner: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STRETCH_PAGES", 16)
    await many(pike, 3000)
    real, calls, counted = retention.prune, 0, metrics.PRUNED.labels("economic.inbox")._value.get()

    async def dies(*args: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise asyncio.CancelledError
        return await real(*args)

    monkeypatch.setattr(retention, "prune", dies)
    with pytest.raises(asyncio.CancelledError):
        await pruner.prune(every_s=0)
    left = await pike.fetchval("select count(*) from economic.inbox")
    assert 0 < left < 3000
    assert await pike.fetchval("select ended_at from economic.housekeeping") is None
    monkeypatch.setattr(retention, "prune", real)
    assert await pruner.prune() == {**dict.fromkeys({p.table for p in retention.POLICIES}, 0), "economic.inbox": left}
    assert metrics.PRUNED.labels("economic.inbox")._value.get() - counted == 3000
    assert await pruner.prune() is None, "the next pass is due in hours"


async def test_one_process_prunes_at_a_time_and_rows_in_use_are_passed_over(
    pike: asyncpg.Connection, pruner: Retention, module_database_url: str
) -> None:
    await many(pike, 10)
    other = await asyncpg.connect(module_database_url)
    try:
        await other.execute("select pg_advisory_lock($1)", retention._LOCK)
        assert await pruner.prune(every_s=0) is None
        await other.execute("select pg_advisory_unlock($1)", retention._LOCK)
        async with other.transaction():
            await other.execute("select 1 from economic.inbox where event_id = 'e1' for update")
            assert await pruned(pruner) == {"economic.inbox": 9}
        assert await pruned(pruner) == {"economic.inbox": 1}
    finally:
        await other.close()


async def test_the_connection_goes_back_without_lock_and_privilege(database: Database, pruner: Retention) -> None:
    await pruned(pruner)
    async with database.connection("test") as connection:
        assert await connection.fetchval("select current_setting('pike_economic.housekeeping', true)") in (None, "")
        assert await connection.fetchval("show statement_timeout") == "0"
        assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_a_stretch_is_found_by_its_pages_without_an_index(pike: asyncpg.Connection) -> None:
    await many(pike, 2000)
    policy = retention.POLICIES[0]
    sql = retention._PRUNE.format(table=policy.table, condition=policy.condition)
    plan = await pike.fetch(f"explain {sql}", (0, 0), (16, 0), datetime.now(UTC))
    assert any("Tid Range Scan" in row[0] for row in plan), plan
