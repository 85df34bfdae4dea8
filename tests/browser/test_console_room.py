"""The operations room with everything in it, live, within bounds, and through interruptions."""

import contextlib

import aiohttp
import pytest
from browser_kit import OPERATOR_TOKEN, Site, Visitor, assert_page_good
from letters_for_pages import bury
from playwright.async_api import expect
from support import eventually

from worker.web.console import live

BUSY = """
insert into economic.lane_samples (at, lane, unfinished, oldest_s, messages)
select now() - make_interval(mins => m), lane, (m * 7 + length(lane)) % 23, (m * 13) % 90, (m * 5) % 17
from generate_series(0, 58, 2) m, unnest(array['work', 'bulk', 'solo']) lane
on conflict do nothing;
insert into economic.work_samples (at, worker_id, event_type, outcomes, critical)
select now() - make_interval(mins => m), gen_random_uuid(), 'pike.invoice.created',
       jsonb_build_object('synced', 40 + m % 9, 'retry', m % 4, 'dead', (m % 7 = 0)::int),
       array[0, 5, 30, 8, 2, 1, 0, 0, 0, 0, 0, 0, 0]
from generate_series(0, 58, 2) m;
insert into economic.gates (agreement_number, failures, opened, held_until, held_because)
values (1000001, 5, 1, now() + interval '4 minutes', 'breaker');
insert into economic.reconciliations (lost, double) values (0, 0);
insert into economic.workers (id, host, pid, version, commit, state, consumers, in_work, loop_lag_s, outcomes, budgets)
values (gen_random_uuid(), 'worker-b', 4711, '0.1.0', 'abcdef1234', 'running', '{"work": true, "bulk": false}', 3, 0.01,
        '{"synced": 12345}', '{"1000001": 0.17, "1000002": 0.93}');
"""


async def test_everything_that_happens_is_seen_in_the_room(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.import_all()
    async with site.running.pike() as connection:
        await connection.execute(BUSY)
    await bury(site)
    page = otto.page
    await otto.open("/console/")
    for part, told in (
        ("#concerns", "e-conomic does not answer for 1 workspace"),
        ("#concerns", "1 dead letter"),
        ("#tiles", "Zero-loss proof"),
        ("#work", "pike.invoice.created"),
        ("#held", "breaker open"),
        ("#held", "17%"),
        ("#workers", "worker-b"),
        ("#workers", "12,345"),
        ("#rest", "ws-test"),
    ):
        await expect(page.locator(part)).to_contain_text(told)
    assert await page.locator("#charts svg[role=img]").count() == 4
    p50 = await page.locator("#work tbody tr", has_text="pike.invoice.created").locator("td").nth(4).inner_text()
    assert p50 == "0.3 s"  # half of 46 lie in the class from 0.1 to 0.5 s
    await assert_page_good(otto, "room-busy")
    await page.get_by_role("link", name="24 hours").click()
    await expect(page.get_by_role("link", name="24 hours")).to_have_attribute("aria-current", "true")
    await expect(page.locator("[data-live-status]")).to_have_text("Live")


async def test_what_changes_is_shown_without_loading_and_through_interruptions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LASTS_S", 0.5)  # every stream is cut off and has to be opened again
    async with site.visitor() as otto:
        dead = otto.page.locator(".tile", has_text="Dead letters").locator("dd")
        await expect(dead).to_have_text("0")
        await bury(site)
        await expect(dead).to_contain_text("1", timeout=20_000)
        await bury(site)
        await expect(dead).to_contain_text("2", timeout=20_000)


async def test_streams_are_few_and_only_for_those_who_signed_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_STREAMS", 2)
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    where = f"{site.address}/console/live"
    async with aiohttp.ClientSession(headers=headers) as session:
        streams = [await session.get(where) for _ in range(2)]
        assert [stream.status for stream in streams] == [200, 200]
        assert streams[0].content_type == "text/event-stream"
        async with session.get(where) as third:
            assert third.status == 503
            assert third.headers["Retry-After"]
        streams[0].close()

        async def again() -> bool:
            async with session.get(where) as stream:
                return stream.status == 200

        await eventually(again, timeout_s=20, message="a stream that ended gives its place back")
        streams[1].close()
    async with aiohttp.ClientSession() as stranger, stranger.get(where, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_stream_does_not_keep_its_session_alive(site: Site, otto: Visitor) -> None:
    await expect(otto.page.locator("[data-live-status]")).to_have_text("Live")
    seen = "select max(seen_at) from economic.operator_sessions"
    before = await site.running.value(seen)
    asked = 0

    look = live.still_signed_in

    async def counted(request: object) -> bool:
        nonlocal asked
        asked += 1
        return await look(request)  # type: ignore[arg-type]

    with contextlib.ExitStack() as stack:
        patch = pytest.MonkeyPatch()
        stack.callback(patch.undo)
        patch.setattr(live, "still_signed_in", counted)
        patch.setattr(live, "LOOKS_AT_SESSION_S", 0.1)
        await eventually(lambda: asked >= 2, timeout_s=20, message="the stream asks whether its session goes on")
    assert await site.running.value(seen) == before
