"""``trace``: an operator asks for one event and reads everything that happened to it, in order."""

from typing import Any

import pytest
from harness import WORKSPACE, Harness, environment
from support import eventually
from test_cli import call
from test_push_walk import CREATED, FAILED, SYNCED, linked

from worker.sandbox import Sandbox

REFRESH = "pike.refresh.requested"


@pytest.fixture
def env(amqp_url: str, migrated_database_url: str, sandbox: Sandbox) -> dict[str, str]:
    return environment(amqp_url, migrated_database_url, sandbox)


async def trace(env: dict[str, str], *args: str) -> Any:
    ended = await call(env, "trace", *args, "--json")
    assert ended.code == 0, ended.err
    (story,) = ended.json
    assert [step["at"] for step in story["steps"]] == sorted(step["at"] for step in story["steps"])
    return story


def words(story: Any) -> list[str]:
    return [step["what"] for step in story["steps"]]


async def test_from_a_failure_over_its_replay_to_the_draft(running: Harness, env: dict[str, str]) -> None:
    request = await linked(running)
    product = next(p for p in running.agreement.products if not p.barred)
    running.agreement.bar_product(product.number)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, FAILED)
    story = await trace(env, event_id)
    assert (story["state"], story["workspace_id"], story["type"]) == ("dead", WORKSPACE, CREATED)
    assert words(story) == ["received", "write intended", "write refused", "try failed", "dead letter"]
    (letter,) = (await call(env, "dead", "list", "--json")).json
    assert letter["id"] in story["now"]
    running.agreement.bar_product(product.number, barred=False)
    assert (await call(env, "dead", "replay", letter["id"])).code == 0
    await running.answer(event_id, SYNCED)

    async def settled() -> Any:
        found = await trace(env, letter["id"])
        assert not [step for step in found["steps"] if "waits" in step["what"]], "answers are not confirmed yet"
        return found

    story = await eventually(settled, every_s=0.3)
    assert story["event_id"] == event_id
    seen = words(story)
    first = ["received", "try failed", "dead letter", "operator"]
    assert [word for word in seen if word in first] == first
    assert seen.index("operator") < seen.index("write intended") < seen.index("write done")
    assert {"done", "rows changed"} <= set(seen[seen.index("write intended") :])
    assert (story["state"], "Done: synced" in story["now"]) == ("done", True)
    assert "confirmed" in story["now"]
    draft = max(running.agreement.drafts, key=lambda made: made.number)
    assert [s for s in story["steps"] if s["what"] == "write done" and str(draft.number) in s["told"]], story["steps"]
    shown = await call(env, "trace", event_id)
    assert shown.code == 0
    assert "dead letter" in shown.out
    assert str(draft.number) in shown.out


async def test_answers_that_nobody_takes_are_shown_as_waiting(running: Harness, env: dict[str, str]) -> None:
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": "1"})
    await running.answer(event_id)
    async with running.pike() as connection:
        await connection.execute(
            """insert into economic.outbox (event_id, type, workspace_id, exchange, routing_key, content_type, body,
                   attempts, last_error, leased_until)
               values ('a', 'economic.refresh.completed', $2, 'x', 'x', 'x', convert_to($1, 'utf8'), 2, 'gone',
                       now() + '1 h')""",
            f'{{"correlationid":"{event_id}"}}', WORKSPACE,
        )  # fmt: skip
    story = await trace(env, event_id)
    assert "1 of its answers waits" in story["now"]
    (waiting,) = [step for step in story["steps"] if step["what"] == "answer waits"]
    assert "2 times not confirmed, gone" in waiting["told"]


async def test_an_import_names_its_stage_counts_and_rejects(running: Harness, env: dict[str, str]) -> None:
    done = await running.import_all("products")
    story = await trace(env, str(done.correlation_id))
    assert words(story) == ["received", "import began", "done", "import ended"]
    (end,) = [step for step in story["steps"] if step["what"] == "import ended"]
    assert end["facts"]["counts"]
    assert end["told"].startswith("completed")


async def test_what_could_not_be_read_is_found_by_the_id_that_could(running: Harness, env: dict[str, str]) -> None:
    body = b'{"specversion":"1.0","id":"odd-1","source":"/x","type":"pike.no.such","workspaceid":"w","data":{}}'
    await running.publish_raw(body, routing_key=REFRESH)
    await eventually(lambda: running.value("select count(*) from economic.dead_letters"))
    story = await trace(env, "odd-1")
    assert (story["state"], words(story)) == ("unreadable", ["received", "dead letter"])


async def test_an_event_that_never_came_is_a_sentence(running: Harness, env: dict[str, str]) -> None:
    ended = await call(env, "trace", "never-published")
    assert (ended.code, ended.out) == (1, "")
    assert "never-published was ever received" in ended.err
