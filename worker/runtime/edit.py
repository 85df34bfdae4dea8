"""A dead letter sent again with another body. The event keeps its id, source and effect key, so nothing is doubled."""

import difflib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.codec import MalformedEvent, decode
from events.envelope import Envelope
from events.invoice import InvoiceCreated
from schemas.problem import Cause
from worker.errors import Refused, refused
from worker.runtime.identity import meaning
from worker.runtime.replay import Replayed, message_of
from worker.store import dead_letters, effects, inbox, operator_audit, outbox
from worker.store.dead_letters import DeadLetter
from worker.store.pool import Connection, Database

_AGAIN = "Correct the file and try again; nothing was sent."


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited event that was checked: what it is now, and how it differs from the stored one, line by line."""

    letter: DeadLetter
    event: Envelope[Any]
    body: bytes
    diff: list[str]


async def prepare(database: Database, letter_id: UUID, body: bytes) -> Edited | None:
    """Check an edited body against its letter; nothing is written. ``None``: there is no such letter.

    Raises ``Refused`` when it cannot be read, would be another event, or may already have become an invoice.
    """
    async with database.connection("edit") as connection:
        found = await dead_letters.search(connection, ids=[letter_id], state=None)
        if not found:
            return None
        return await _checked(connection, found[0], body)


async def send(database: Database, letter_id: UUID, body: bytes, by: str, reason: str) -> Replayed:
    """Send a letter again with this body, checked once more in the transaction that closes it. Raises ``Refused``."""
    async with database.transaction("replay edited") as connection:
        found = await dead_letters.search(connection, ids=[letter_id], state=None)
        if not found:
            return Replayed(letter_id, "not_found")
        letter = found[0]
        if not await dead_letters.close(connection, letter.id, "replayed", by, reason):
            return Replayed(letter_id, "already_closed")
        edited = await _checked(connection, letter, body)
        event = edited.event
        if not await inbox.rewrite(connection, event.source, event.id, event.type, meaning(event)):
            raise _refused(f"Another event with the id {event.id} was received and is not dead.", "id")
        await inbox.reopen(connection, event.source, event.id)
        await outbox.append(connection, [message_of(letter, body)], lease_s=0.0)
        await operator_audit.write(
            connection,
            by,
            "edit",
            [letter.id],
            reason=reason,
            details={"diff": edited.diff},
            before=letter.body,
            after=body,
        )
    return Replayed(letter_id, "sent")


async def _checked(connection: Connection, letter: DeadLetter, body: bytes) -> Edited:
    if letter.cause == Cause.CONFLICTING_EVENT:
        raise _refused("This event shares its id with another one that was acted on; publish it with a new id.", "id")
    event = _decoded(letter, body)
    _keep_identity(letter, event)
    if isinstance(event.data, InvoiceCreated):
        await _keep_invoice(connection, letter, event.data)
    return Edited(letter, event, body, _diff(letter.body, body))


def _decoded(letter: DeadLetter, body: bytes) -> Envelope[Any]:
    try:
        event: Envelope[Any] = decode(body, letter.headers, letter.content_type)
    except MalformedEvent as exc:
        raise refused(exc.cause, f"The edited event cannot be read: {exc.user_message}", _AGAIN) from exc
    return event


def _keep_identity(letter: DeadLetter, event: Envelope[Any]) -> None:
    stored = {"source": letter.source, "id": letter.event_id, "workspaceid": letter.workspace_id}
    if letter.cause not in (Cause.UNKNOWN_EVENT_TYPE, Cause.MALFORMED_EVENT):
        stored["type"] = letter.type
    given = {"source": event.source, "id": event.id, "workspaceid": event.workspace_id, "type": event.type}
    for name, value in stored.items():
        if value and value != given[name]:
            raise _refused(f'The edited event has another {name} ("{given[name]}" instead of "{value}").', name)


async def _keep_invoice(connection: Connection, letter: DeadLetter, data: InvoiceCreated) -> None:
    """The invoice's id is the effect key: with another one a second draft could be made."""
    stored = _invoice_id(letter)
    if stored is not None and stored != str(data.invoice.id):
        raise _refused(f'The edited event is about another invoice ("{data.invoice.id}").', "data.invoice.id")
    if await effects.begun(connection, data.invoice.id):
        raise refused(
            Cause.LOCKED,
            "This invoice was sent to e-conomic before and may be there.",
            "Replay the letter as it is: the invoice is looked up first. Then change it in e-conomic and refresh it.",
            fields=["data.invoice"],
        )


def _invoice_id(letter: DeadLetter) -> str | None:
    """Read the id even where the rest of the event cannot be read."""
    try:
        event = json.loads(letter.body)
        return str(UUID(event.get("data", event)["invoice"]["id"]))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


def _diff(before: bytes, after: bytes) -> list[str]:
    lines = difflib.unified_diff(_pretty(before), _pretty(after), "before", "after", lineterm="", n=2)
    return list(lines)


def _pretty(body: bytes) -> list[str]:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False, sort_keys=True).splitlines()
    except (ValueError, RecursionError):
        return body.decode("utf-8", errors="backslashreplace").splitlines()


def _refused(message: str, field: str) -> Refused:
    return refused(Cause.MALFORMED_EVENT, message, _AGAIN, fields=[field])
