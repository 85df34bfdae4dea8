"""Heartbeats and samples: who is alive, what waited, what was done, and that it all adds up."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from worker.store import operations
from worker.store.operations import Heartbeat
from worker.store.pool import Database
from worker.telemetry.metrics import WAITS

CLASSES = len(WAITS) + 1


def heartbeat(worker: UUID, **fields: Any) -> Heartbeat:
    return Heartbeat(
        **{
            "id": worker, "host": "h", "pid": 1, "version": "1", "commit": "", "state": "running",
            "consumers": {"work": True}, "in_work": 0, "loop_lag_s": 0.0, "outcomes": {}, "budgets": {}, **fields,
        }
    )  # fmt: skip


def classes(**counts: int) -> list[int]:
    return [counts.get(f"c{place}", 0) for place in range(CLASSES)]


async def test_a_worker_is_alive_then_gone_then_forgotten(database: Database, pike: asyncpg.Connection) -> None:
    alive, gone, ended = uuid4(), uuid4(), uuid4()
    async with database.connection("test") as connection:
        for each in (alive, gone, ended):
            await operations.beat(connection, heartbeat(each))
        await operations.beat(connection, heartbeat(alive, in_work=3, outcomes={"synced": 5}))
        await operations.beat(connection, heartbeat(ended, state="stopped"))
        await pike.execute("update economic.workers set seen_at = now() - interval '46 s' where id = $1", gone)
        seen = {row["id"]: row for row in await operations.workers(connection)}
        assert {each: row["state"] for each, row in seen.items()} == {alive: "running", gone: "gone"}
        assert (seen[alive]["in_work"], seen[alive]["outcomes"], seen[gone]["silent_s"] > 45) == (
            3,
            {"synced": 5},
            True,
        )
        await pike.execute("update economic.workers set seen_at = now() - interval '16 min' where id = $1", gone)
        assert [row["id"] for row in await operations.workers(connection)] == [alive]
        await pike.execute("update economic.workers set seen_at = now() - interval '25 h' where id = $1", gone)
        await operations.prune(connection)
    assert await pike.fetchval("select count(*) from economic.workers") == 2


async def test_only_one_worker_samples_a_half_minute(database: Database, pike: asyncpg.Connection) -> None:
    await pike.execute(
        """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, received_at)
           values ('s', '1', 't', 'w', 'work', '', 'waiting', now() - interval '90 s'),
                  ('s', '2', 't', 'w', 'work', '', 'running', now()), ('s', '3', 't', 'w', 'work', '', 'done', now())"""
    )
    async with database.connection("test") as connection:
        slots = [await operations.sample_lanes(connection, ["work", "bulk"]) for _ in range(4)]
        won = [slot for slot in slots if slot is not None]
        assert len(won) in (1, 2), "two only when a half minute ended just now"
        await operations.note_depths(connection, won[-1], {"work": 7})
        lanes = await operations.lanes(connection, ["work", "bulk"])
        history = await operations.lane_history(connection, 3600)
    assert [(x["lane"], x["unfinished"], x["messages"]) for x in lanes] == [("work", 2, 7), ("bulk", 0, None)]
    assert 90 <= lanes[0]["oldest_s"] < 120
    assert {(x["lane"], x["unfinished"]) for x in history} == {("work", 2), ("bulk", 0)}


async def test_work_adds_up_over_calls_and_workers(database: Database) -> None:
    one, two = uuid4(), uuid4()
    async with database.connection("test") as connection:
        await operations.note_work(connection, one, {"a": ({"synced": 2, "retry": 1}, classes(c0=1, c2=1))})
        await operations.note_work(
            connection, one, {"a": ({"synced": 1}, classes(c2=1)), "b": ({"dead": 1}, classes())}
        )
        await operations.note_work(connection, two, {"a": ({"synced": 4}, classes(c12=4))})
        assert await operations.work(connection, 600) == {"a": {"synced": 7, "retry": 1}, "b": {"dead": 1}}
        critical = await operations.critical_times(connection, 600)
        assert critical == {"a": classes(c0=1, c2=2, c12=4), "b": classes()}
        drawn = await operations.throughput_history(connection, 600)
    assert sum(row["n"] for row in drawn if row["outcome"] == "synced") == 7


@pytest.mark.parametrize("span_s", [600.0, 86400.0])
async def test_old_samples_are_left_out_and_pruned(database: Database, pike: asyncpg.Connection, span_s: float) -> None:
    async with database.connection("test") as connection:
        await operations.note_work(connection, uuid4(), {"a": ({"synced": 1}, classes())})
        await operations.sample_lanes(connection, ["work"])
        await pike.execute("update economic.work_samples set at = now() - interval '25 h'")
        await pike.execute("update economic.lane_samples set at = now() - interval '25 h'")
        assert await operations.work(connection, span_s) == {}
        assert await operations.lane_history(connection, span_s) == []
        await operations.prune(connection)
    assert await pike.fetchval("select count(*) from economic.work_samples") == 0
    assert await pike.fetchval("select count(*) from economic.lane_samples") == 0
