"""A running worker has tables analysed that have grown; what that is for, ``test_store_growth`` shows."""

import pytest
from e2e_kit import Launch
from support import eventually

from worker.runtime import growing
from worker.store import growth


async def test_a_worker_looks_after_its_inbox_by_itself(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "EVERY_S", 0.05)
    async with launch() as running, running.pike() as pike:
        await pike.execute("alter table economic.inbox set (autovacuum_enabled = false)")
        await pike.execute(
            """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, finished_at)
               select '/old', n::text, 'pike.x', 'ws', 'work', 'h', 'done', now() from generate_series(1, 5000) as n"""
        )

        async def known() -> bool:
            pages: int = await pike.fetchval("select relpages from pg_class where oid = 'economic.inbox'::regclass")
            return pages > growth.SMALL_PAGES

        await eventually(known)
