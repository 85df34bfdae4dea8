"""The operator API: the same keys as the command line's JSON, roles, and refusals as problems."""

import json
from uuid import uuid4

import pytest
from access_kit import OPERATOR_TOKEN, VIEWER_TOKEN, Answer, Browser, Site
from support import eventually

VIEWER = {"Authorization": f"Bearer {VIEWER_TOKEN}"}
OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
KEYS = {"id", "type", "workspace_id", "cause", "received_at", "attempts", "problem"}


def read(answer: Answer) -> object:
    return json.loads(answer.text)


def assert_problem(answer: Answer, status: int) -> None:
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (status, "application/problem+json")
    told = json.loads(answer.text)
    assert told["status"] == status
    assert told["detail"]


async def letters(bare: Site, count: int) -> list[str]:
    """Have the worker bury events of a workspace that is not connected; returns the letters, newest first."""
    running = bare.running
    for _ in range(count):
        data = {"entity": "product", "external_number": "4711"}
        await running.request("pike.refresh.requested", data, "economic.refresh.failed", workspace="nowhere")
    rows = await running.rows("select id from economic.dead_letters order by buried_at desc, id desc")
    return [str(row["id"]) for row in rows]


async def test_letters_are_listed_with_the_contracts_keys_page_after_page(bare: Site, browser: Browser) -> None:
    known = await letters(bare, 3)
    seen, where = [], "/api/v1/dead?limit=2&workspace=nowhere"
    while where:
        answer = await browser.get(where, headers=VIEWER)
        assert answer.status == 200, answer.text
        page = read(answer)
        assert isinstance(page, list)
        assert all(set(row) == KEYS for row in page)
        seen += [row["id"] for row in page]
        where = answer.headers["Link"].partition("<")[2].partition(">")[0] if "Link" in answer.headers else ""
    assert seen == known
    assert read(await browser.get("/api/v1/dead?cause=product_barred", headers=VIEWER)) == []


async def test_a_letter_is_shown_tried_replayed_once_and_discarded(bare: Site, browser: Browser) -> None:
    first, second = await letters(bare, 2)
    shown = read(await browser.get(f"/api/v1/dead/{first}", headers=VIEWER))
    assert isinstance(shown, dict)
    assert {"history", "body", "audit", "other_letters", "state"} <= set(shown)
    plan = read(await browser.post(f"/api/v1/dead/{first}/dry-run", {}, headers=OPERATOR))
    assert isinstance(plan, dict)
    assert [problem["cause"] for problem in plan["wrong"]] == ["not_connected"]
    assert read(await browser.post(f"/api/v1/dead/{first}/replay", {}, headers=OPERATOR)) == {
        "id": first, "result": "sent",
    }  # fmt: skip
    assert_problem(await browser.post(f"/api/v1/dead/{first}/replay", {}, headers=OPERATOR), 409)
    assert_problem(await browser.post(f"/api/v1/dead/{second}/discard", {"reason": " "}, headers=OPERATOR), 422)
    done = await browser.post(f"/api/v1/dead/{second}/discard", {"reason": "a test"}, headers=OPERATOR)
    assert read(done) == {"id": second, "result": "sent"}
    acts = await bare.running.rows("select operator, action from economic.operator_audit order by id")
    assert [(act["operator"], act["action"]) for act in acts] == [
        ("api: otto", "dry-run"), ("api: otto", "replay"), ("api: otto", "discard"),
    ]  # fmt: skip

    async def buried_again() -> bool:
        return await bare.running.value("select count(*) from economic.dead_letters where state = 'open'") == 1

    await eventually(buried_again, message="the replayed event is still not connected")


async def test_viewers_strangers_and_bad_questions_are_refused_as_problems(bare: Site, browser: Browser) -> None:
    letter = (await letters(bare, 1))[0]
    for act in ("dry-run", "replay", "discard"):
        assert_problem(await browser.post(f"/api/v1/dead/{letter}/{act}", {"reason": "x"}, headers=VIEWER), 403)
        assert_problem(await browser.post(f"/api/v1/dead/{letter}/{act}", {"reason": "x"}), 401)
    for where in ("/api/v1/dead", "/api/v1/status", f"/api/v1/dead/{letter}"):
        assert_problem(await browser.get(where), 401)
    for where in (f"/api/v1/dead/{uuid4()}", "/api/v1/dead/x", "/api/v1/nothing"):
        assert_problem(await browser.get(where, headers=VIEWER), 404)
    naive = f"after=2026-11-29T00:00:00&after_id={uuid4()}"
    for query in ("limit=x", "limit=0", "state=y", "after=now", "after=2026-11-29T00:00:00Z", naive):
        assert_problem(await browser.get(f"/api/v1/dead?{query}", headers=VIEWER), 400)
    assert await bare.running.value("select count(*) from economic.dead_letters where state = 'open'") == 1


@pytest.mark.requirement("B17")
async def test_the_status_is_the_operations_room(bare: Site, browser: Browser) -> None:
    seen = read(await browser.get("/api/v1/status", headers=VIEWER))
    assert isinstance(seen, dict)
    assert {"at", "workers", "lanes", "work", "outbox", "dead_letters", "concerns", "reconciliation"} <= set(seen)
