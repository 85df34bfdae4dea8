"""``pike.disconnect.requested``: take our webhooks back, forget the grant, keep the data, unlock drafts."""

from typing import Any

from events.connection import ConnectionClosed, DisconnectRequested
from events.envelope import Envelope
from worker.handlers.hooks import remove_hooks
from worker.run import Run
from worker.store import access_audit, connections, hints, hooks


async def disconnect(event: Envelope[Any], run: Run) -> None:
    """Close the workspace's connection. Closing a closed one changes nothing and is answered all the same."""
    data: DisconnectRequested = event.data
    await remove_hooks(run)
    async with run.finish("closed") as work:
        closed = await connections.close(work.connection, run.workspace_id)
        if closed is not None:
            await connections.unlock_drafts(work.connection, run.workspace_id)
            await hints.forget_all(work.connection, closed.id)
            await hooks.switched_off(work.connection, closed.id)
            who = f"pike:{data.requested_by or 'somebody'}"
            await access_audit.write(work.connection, who, "disconnected", workspace_id=run.workspace_id)
        work.emit(
            ConnectionClosed(
                agreement_number=closed.agreement_number if closed else None, requested_by=data.requested_by
            )
        )
