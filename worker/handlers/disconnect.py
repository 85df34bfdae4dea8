"""``pike.disconnect.requested``: forget the grant, keep the data, let drafts be edited again."""

from typing import Any

from events.connection import ConnectionClosed, DisconnectRequested
from events.envelope import Envelope
from worker.run import Run
from worker.store import access_audit, connections


async def disconnect(event: Envelope[Any], run: Run) -> None:
    """Close the workspace's connection. Closing a closed one changes nothing and is answered all the same."""
    data: DisconnectRequested = event.data
    async with run.finish("closed") as work:
        closed = await connections.close(work.connection, run.workspace_id)
        if closed is not None:
            await connections.unlock_drafts(work.connection, run.workspace_id)
            who = f"pike:{data.requested_by or 'somebody'}"
            await access_audit.write(work.connection, who, "disconnected", workspace_id=run.workspace_id)
        work.emit(
            ConnectionClosed(
                agreement_number=closed.agreement_number if closed else None, requested_by=data.requested_by
            )
        )
