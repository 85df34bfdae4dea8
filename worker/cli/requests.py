"""Commands that ask for something and follow it: connect, disconnect, publish, import, refresh."""

import json
from collections.abc import Collection
from typing import Any
from uuid import UUID

import click
from pydantic import SecretStr, ValidationError

from events import CONSUMED, EVENTS, INTERNAL
from events.codec import MalformedEvent, decode, encode
from events.connection import DisconnectRequested
from events.envelope import Envelope, EventData
from events.refresh import RefreshRequested
from worker.bootstrap import make_broker, tools
from worker.cli.following import Bars, answers_to, make_event, outgoing, wait_for
from worker.cli.output import BAD_ANSWER, USAGE, fail, print_json, with_settings
from worker.clock import SystemClock
from worker.errors import Unroutable
from worker.handlers.connect import connect as connect_workspace
from worker.telemetry.redaction import REDACTOR


async def connect(workspace: str, token: str, booking: str | None, as_json: bool) -> int:
    """Connect a workspace with a grant token."""
    settings = with_settings()
    REDACTOR.learn([token])
    async with tools(settings) as kit:
        made = await connect_workspace(
            kit.database, kit.client, kit.vault, kit.clock,
            workspace_id=workspace, grant=SecretStr(token), booking=booking,
        )  # fmt: skip
    found = made.connection
    if as_json:
        print_json({
            "workspace_id": workspace, "agreement_number": found.agreement_number, "company_name": found.company_name,
            "base_currency": found.base_currency, "booking": found.booking, "released": made.released,
        })  # fmt: skip
    else:
        click.echo(
            f"Workspace {workspace} is connected to agreement {found.agreement_number}, {found.company_name} "
            f"({found.base_currency}); pushed invoices become {'invoices' if found.booking == 'book' else 'drafts'}."
        )
        if made.released:
            click.echo(f"{made.released} waiting requests go on.")
    return 0


async def disconnect(workspace: str, timeout_s: float, as_json: bool) -> int:
    """Ask the worker to close the connection and wait."""
    event = make_event(DisconnectRequested(requested_by="command line"), workspace)
    answer = await ask(event, ["economic.connection.closed"], [], timeout_s)
    return tell(answer, as_json, lambda data: f"Closed agreement {data.agreement_number or '(there was none)'}.")


async def publish(event_type: str, workspace: str, data: str, event_id: str | None, as_json: bool) -> int:
    """Publish one event; its data is checked first, so that a slip is told here and not by a dead letter."""
    settings = with_settings()
    event = _checked(event_type, workspace, data, event_id)
    broker = make_broker(settings, SystemClock())
    await broker.start()
    try:
        await broker.publisher.publish(outgoing(event))
    except Unroutable:
        fail(f"No queue takes {event_type}: is it an event that somebody reads?", BAD_ANSWER)
    finally:
        await broker.stop(0.0)
    if as_json:
        print_json({"id": event.id, "type": event.type, "workspace_id": workspace})
    else:
        click.echo(f"Published {event.type} {event.id}.")
    return 0


async def refresh(workspace: str, entity: str, number: str, document: str, timeout_s: float, as_json: bool) -> int:
    """Request a refresh and wait for its answer."""
    fields: dict[str, Any] = {"entity": entity, "document": document}
    try:
        fields["id"] = UUID(number)
    except ValueError:
        fields["external_number"] = number
    try:
        data = RefreshRequested.model_validate(fields)
    except ValidationError as exc:
        fail(exc.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, "), USAGE)
    ends = ["economic.refresh.completed", "economic.refresh.failed"]
    answer = await ask(make_event(data, workspace), ends, [], timeout_s)

    def text(found: Any) -> str:
        lines = [f"{change.field}: {change.old} → {change.new}" for change in found.changes]
        return "\n".join([f"{entity.capitalize()} {found.external_number} is up to date.", *lines])

    return tell(answer, as_json, text)


async def ask(
    event: Envelope[Any], ends: Collection[str], patterns: Collection[str], timeout_s: float, bars: Bars | None = None
) -> Envelope[Any] | None:
    """Publish a request and wait for the answer that ends it; ``None`` when none came in time."""
    settings = with_settings()
    broker = make_broker(settings, SystemClock())
    await broker.start()
    try:
        async with answers_to(settings, event, patterns or ends) as answers:
            await broker.publisher.publish(outgoing(event))
            return await wait_for(answers, ends, timeout_s, bars.show if bars else lambda _event: None)
    finally:
        await broker.stop(0.0)


def _checked(event_type: str, workspace: str, data: str, event_id: str | None) -> Envelope[Any]:
    model: type[EventData] | None = EVENTS.get(event_type)
    if model is None or event_type not in CONSUMED - INTERNAL:
        known = ", ".join(sorted(CONSUMED - INTERNAL))
        fail(f"{event_type} is not an event that the worker reads. It reads: {known}", USAGE)
    try:
        parsed = model.model_validate_json(data)
        event = make_event(parsed, workspace, event_id)
        decode(encode(event), {}, "application/cloudevents+json")
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
        listed = "".join(f"\n  {'.'.join(map(str, error['loc'])) or 'data'}: {error['msg']}" for error in errors)
        fail(f"The data does not fit {event_type}:{listed}", USAGE)
    except MalformedEvent as exc:
        fail(exc.user_message, USAGE)
    return event


def tell(answer: Envelope[Any] | None, as_json: bool, text: Any) -> int:
    """Print an answer: its problem and remedy, or what ``text`` makes of its data. Returns the exit code."""
    if answer is None:
        fail("No answer in time. Is a worker running? The request is kept and will be worked on.", BAD_ANSWER)
    problem = getattr(answer.data, "problem", None)
    if as_json:
        print_json({"type": answer.type, **json.loads(answer.data.model_dump_json())})
    elif problem is not None:
        click.echo(f"{problem.user_message}\n{problem.remedy}", err=True)
    else:
        click.echo(text(answer.data))
    return BAD_ANSWER if problem is not None else 0
