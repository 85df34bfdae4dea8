"""Why the dispatcher does not let a handler begin: the sentences for it."""

from typing import Any

from events.envelope import Envelope
from schemas.problem import Cause, Problem
from worker.errors import refused
from worker.run import SOURCE
from worker.runtime.solo import deaths
from worker.store.connections import EconomicConnection
from worker.store.inbox import Claim


def stored_problem(connection: EconomicConnection) -> Problem:
    """Return why the connection was revoked, as it was written down then."""
    if connection.problem:
        return Problem.model_validate(connection.problem)
    return Problem(
        cause=Cause.GRANT_REVOKED,
        user_message="e-conomic no longer accepts Pike's access to this agreement.",
        remedy="Reconnect the agreement under Workspace settings → Integrations. Waiting requests go on by themselves.",
        final=False,
    )


def not_connected(workspace_id: str) -> Exception:
    """Explain that there is no agreement."""
    return refused(
        Cause.NOT_CONNECTED,
        f"Workspace {workspace_id} is not connected to an e-conomic agreement.",
        "Connect it under Workspace settings → Integrations, then send the request again.",
    )


def nobody_handles(event: Envelope[Any]) -> Exception:
    """Explain that no handler is there for the type."""
    whose = "This worker's own answer" if event.source == SOURCE else "The event"
    return refused(
        Cause.UNKNOWN_EVENT_TYPE,
        f"{whose} {event.type} is not something the worker acts on.",
        "Publish one of the request types of the contract; answers are for reading only.",
    )


def kills_the_process(claim: Claim) -> Exception:
    """Explain that working on the event ended its process, also with nothing else at work."""
    return refused(
        Cause.KILLED_THE_PROCESS,
        f"The process that worked on this went away {deaths(claim)} times, the last time with nothing else at work.",
        "Our engineers must look at it before it is sent again.",
    )
