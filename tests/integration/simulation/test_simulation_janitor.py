"""What the broker gave up on ends once, like everything else: one letter, one answer, or what it has already."""

import json
from collections.abc import Sequence
from uuid import uuid4

import pytest

from events.codec import decode
from tests.integration.simulation.conftest import Stage
from tests.integration.store.store_kit import finish
from worker.broker.delivery import DeathInfo, Delivery, Lane
from worker.clock import SystemClock
from worker.errors import NotYet
from worker.runtime.burial import Burial
from worker.runtime.identity import received
from worker.runtime.janitor import Janitor
from worker.store import inbox
from worker.store.inbox import Claim
from worker.store.outbox import OutboxRow

DEATH = DeathInfo("delivery_limit", "pike-economic.work", 1, None)
DATA = {"id": str(uuid4()), "changes": {"title": "x"}}
BODY = json.dumps({
    "specversion": "1.0", "id": "e1", "source": "/pike", "type": "pike.invoice.updated", "workspaceid": "ws",
    "data": DATA,
}).encode()  # fmt: skip


def delivery(body: bytes = BODY) -> Delivery:
    return Delivery(body, {}, "application/cloudevents+json", "e1", "pike.invoice.updated", Lane.WORK, True, 20)


class Bench:
    """A janitor, and what it announced."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.announced: list[OutboxRow] = []
        self.janitor = Janitor(stage.database, Burial(stage.database, {}, SystemClock(), self.note))

    def note(self, rows: Sequence[OutboxRow]) -> None:
        self.announced.extend(rows)

    async def claim(self) -> Claim:
        event = decode(BODY, {}, "application/cloudevents+json")
        async with self.stage.database.connection("test") as connection:
            result = await inbox.claim(connection, received(delivery(), event, "worker"), 60.0)
        assert result.claim is not None
        return result.claim

    async def state(self) -> str | None:
        async with self.stage.database.connection("test") as connection:
            return await inbox.state_of(connection, "/pike", "e1")

    @property
    def answers(self) -> list[str]:
        return [row.message.type for row in self.announced]


@pytest.fixture
def bench(stage: Stage) -> Bench:
    return Bench(stage)


@pytest.mark.requirement("B2")
async def test_an_event_the_broker_gave_up_on_is_dead_and_answered_once(bench: Bench) -> None:
    for _ in range(2):
        await bench.janitor.keep_dead(delivery(), DEATH)
    assert (await bench.state(), bench.answers) == ("dead", ["economic.change.refused"])


@pytest.mark.requirement("B2")
async def test_a_copy_of_an_event_that_is_done_makes_no_dead_letter(bench: Bench) -> None:
    held = await bench.claim()
    async with bench.stage.database.connection("test") as connection:
        await finish(connection, held, "done")
    await bench.janitor.keep_dead(delivery(), DEATH)
    assert (await bench.state(), bench.answers) == ("done", [])


async def test_an_event_at_work_stays_where_it_is_until_its_lease_ends(bench: Bench) -> None:
    await bench.claim()
    with pytest.raises(NotYet):
        await bench.janitor.keep_dead(delivery(), DEATH)
    assert (await bench.state(), bench.answers) == ("running", [])
    await bench.stage.later(61)
    await bench.janitor.keep_dead(delivery(), DEATH)
    assert (await bench.state(), bench.answers) == ("dead", ["economic.change.refused"])


async def test_a_parked_event_goes_on_waiting_for_its_reconnect(bench: Bench) -> None:
    async with bench.stage.database.connection("test") as connection:
        await inbox.put_back(connection, await bench.claim(), parked=True, free=True, note=None)
    await bench.janitor.keep_dead(delivery(), DEATH)
    assert (await bench.state(), bench.answers) == ("parked", [])


async def test_an_unreadable_message_is_kept_once(bench: Bench) -> None:
    broken = (
        b'{"specversion": "1.0", "id": "e9", "source": "/pike", "type": "pike.invoice.updated", "workspaceid": "ws"}'
    )
    for _ in range(2):
        await bench.janitor.keep_dead(delivery(broken), DEATH)
    assert bench.answers == ["economic.change.refused"]
