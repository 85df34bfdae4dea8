"""The walks that crash tests kill in the middle: how each begins, how it ends, and at which points it is killed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import asyncpg
from crash_kit import CrashStage
from harness import WORKSPACE

SYNCED, FAILED = "economic.invoice.synced", "economic.invoice.sync_failed"


def fixed(name: str) -> str:
    """An id that is the same in every run, so that rows can be compared."""
    return str(uuid5(NAMESPACE_URL, name))


Act = Callable[[CrashStage], Awaitable[None]]


async def _nothing(_stage: CrashStage) -> None:
    """Leave the world as it is."""


@dataclass(frozen=True)
class Walk:
    """One walk: how it is begun, the answers of which exactly one must come, and the points it is killed at.

    A point may carry how often it is passed first (``name:3``). ``trouble`` happens before the process that dies
    starts, ``relief`` before the fresh one does; a walk that nothing disturbs has neither and ends in the same rows.
    """

    begin: Callable[[CrashStage], Awaitable[str]]
    ends: tuple[str, ...]
    points: tuple[str, ...]
    trouble: Act = _nothing
    relief: Act = _nothing
    booking: str = "draft"
    settings: dict[str, str] = field(default_factory=dict)


async def with_new_customer(stage: CrashStage) -> str:
    """An invoice for a customer that e-conomic does not have, booked at once: three writes in one walk."""
    customer = {"id": fixed("customer"), "name": "Ny Kunde ApS", "email": "ny@example.test", "vat_number": "99887766"}
    invoice = await _invoice(stage, customer_id=customer["id"])
    return await stage.harness.publish(
        "pike.invoice.created", {"invoice": invoice, "customer": customer}, event_id=fixed("push")
    )


async def for_known_customer(stage: CrashStage) -> str:
    """An invoice for a linked customer."""
    number = next(c.number for c in stage.harness.agreement.customers if not c.barred and c.currency == "DKK")
    async with _as_worker(stage) as connection:
        await connection.execute(
            """insert into pike.customers (id, workspace_id, agreement_number, external_number, name)
               values ($1, $2, $3, $4, 'Customer')""",
            fixed("customer"), WORKSPACE, stage.harness.agreement.number, str(number),
        )  # fmt: skip
    invoice = await _invoice(stage, customer_id=fixed("customer"))
    return await stage.harness.publish("pike.invoice.created", {"invoice": invoice}, event_id=fixed("push"))


async def _refused(stage: CrashStage) -> str:
    """An invoice over a barred product."""
    stage.harness.agreement.bar_product(_product(stage))
    return await for_known_customer(stage)


async def _import(stage: CrashStage) -> str:
    entities = ["products", "customers", "invoices"]
    return await stage.harness.publish("pike.import.requested", {"entities": entities}, event_id=fixed("import"))


async def _refresh(stage: CrashStage) -> str:
    data = {"entity": "product", "external_number": _product(stage)}
    return await stage.harness.publish("pike.refresh.requested", data, event_id=fixed("refresh"))


async def _flood(stage: CrashStage) -> str:
    """More requests than one workspace may have under way: the last ones, of which the id is returned, are overflow."""
    ids = [fixed(f"flood {number}") for number in range(24)]
    for event_id in ids:
        data = {"entity": "product", "external_number": _product(stage)}
        await stage.harness.publish("pike.refresh.requested", data, event_id=event_id)
    return ids[-1]


async def _disconnect(stage: CrashStage) -> str:
    return await stage.harness.publish(
        "pike.disconnect.requested", {"requested_by": "crash"}, event_id=fixed("disconnect")
    )


async def _lose_the_draft(stage: CrashStage) -> None:
    stage.harness.sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)


async def _lose_the_booking(stage: CrashStage) -> None:
    stage.harness.sandbox.add_fault("drop_after", method="POST", path="/invoices/booked$", times=1)


async def _revoke(stage: CrashStage) -> None:
    stage.harness.agreement.revoke()


async def _reconnect(stage: CrashStage) -> None:
    stage.harness.agreement.restore()
    await stage.harness.connect()


async def _invoice(stage: CrashStage, customer_id: str) -> dict[str, Any]:
    async with _as_worker(stage) as connection:
        await connection.execute(
            """insert into pike.products (id, workspace_id, agreement_number, external_number, name, locked)
               values ($1, $2, $3, $4, 'Hour', true)""",
            fixed("product"), WORKSPACE, stage.harness.agreement.number, _product(stage),
        )  # fmt: skip
    line = {
        "id": fixed("line"), "product_id": fixed("product"), "description": "Design", "quantity": "3.00",
        "unit_price": "153.44",
    }  # fmt: skip
    return {
        "id": fixed("invoice"), "title": "Website", "customer_id": customer_id, "issue_date": "2026-11-23",
        "currency": "DKK", "lines": [line],
    }  # fmt: skip


def _product(stage: CrashStage) -> str:
    return next(iter(stage.harness.agreement.products)).number


def _as_worker(stage: CrashStage) -> Any:
    """A connection that the lock triggers take for the worker's."""

    class Connected:
        async def __aenter__(self) -> asyncpg.Connection:
            self.connection = await asyncpg.connect(
                stage.harness.database_url, server_settings={"pike_economic.writer": "worker"}
            )
            return self.connection

        async def __aexit__(self, *_exc: object) -> None:
            await self.connection.close()

    return Connected()


EVERY_EVENT = ("delivery.received", "delivery.claimed", "finish.before_commit", "finish.committed", "ack.decided")
OUTBOX = ("relay.taken", "relay.confirmed", "relay.deleted")
REFRESHED = ("economic.refresh.completed", "economic.refresh.failed")

WALKS = {
    "push": Walk(
        with_new_customer,
        (SYNCED, FAILED),
        (
            *EVERY_EVENT, "ack.sent", *OUTBOX, "push.loaded",
            "push.customer.intended", "call.answering:1", "push.customer.answered",
            "push.draft.intended", "call.answering:2", "push.draft.answered",
            "push.book.intended", "call.answering:3", "push.book.answered",
            "checkpoint.before_commit:2", "checkpoint.committed:2",
        ),
        booking="book",
    ),
    "push whose draft was answered into the void": Walk(
        for_known_customer,
        (SYNCED, FAILED),
        ("push.draft.unknown", "retry.recorded", "retry.copied"),
        trouble=_lose_the_draft,
    ),
    "booking that was answered into the void": Walk(
        with_new_customer, (SYNCED, FAILED), ("push.book.unknown",), trouble=_lose_the_booking, booking="book"
    ),
    "push that is refused": Walk(
        _refused, (SYNCED, FAILED), ("dead.before_commit", "dead.committed", "relay.confirmed")
    ),
    "push with a revoked grant": Walk(
        for_known_customer, (SYNCED, FAILED), ("park.before_commit", "park.committed"),
        trouble=_revoke, relief=_reconnect,
    ),
    "import": Walk(
        _import,
        ("economic.import.completed", "economic.import.failed", "economic.import.cancelled"),
        (
            "import.begun", "import.page_read:2", "checkpoint.before_commit:3", "import.page_committed:3",
            "finish.before_commit:1", "finish.committed:2", "relay.taken:2", "relay.confirmed:2", "delivery.claimed:3",
            "import.closing", "finish.before_commit:5", "finish.committed:5",
        ),
        settings={"PIKE_ECONOMIC_IMPORT_SLICE_S": "0.0001"},
    ),
    "refresh": Walk(_refresh, REFRESHED, (*EVERY_EVENT, "refresh.read", "relay.confirmed")),
    "flood": Walk(
        _flood, REFRESHED,
        ("overflow.kept", "overflow.kept:5", "overflow.done", "overflow.done:3", "delivery.claimed:20"),
        settings={"PIKE_ECONOMIC_PREFETCH_WORK": "1"},
    ),
    "disconnect": Walk(_disconnect, ("economic.connection.closed",), (*EVERY_EVENT, "relay.confirmed")),
}  # fmt: skip
"""Connecting is a command, not an event; its test is beside this table."""


async def undisturbed(stage: CrashStage, name: str) -> dict[str, Any]:
    """Walk through from the beginning to the end and return the rows that are left."""
    walk = WALKS[name]
    await stage.connect(walk.booking)
    request = await walk.begin(stage)
    process = stage.start(**walk.settings)
    await stage.harness.answer(request, *walk.ends)
    await stage.quiet()
    await stage.stops(process)
    assert_one_end(stage, walk, request)
    return await stage.snapshot()


def assert_one_end(stage: CrashStage, walk: Walk, request: str) -> None:
    """One event id ended the request. The same event may pass twice: killed between confirm and delete, it must."""
    ends = [event for event in stage.harness.answers(request) if event.type in walk.ends]
    assert len({event.id for event in ends}) == 1, [(event.type, event.id) for event in ends]
    assert all(event.data == ends[0].data for event in ends)
