"""``pike.import.cancel_requested``: ask a running import to stop at its next page."""

from typing import Any

from events.envelope import Envelope
from events.imports import ImportCancelRequested
from schemas.problem import Cause
from worker.errors import refused
from worker.run import Run
from worker.store import imports


async def cancel_import(event: Envelope[Any], run: Run) -> None:
    """Mark the import; the slice that runs, or the next one, ends it and answers ``economic.import.cancelled``."""
    data: ImportCancelRequested = event.data
    async with run.finish("cancel_requested") as work:
        if not await imports.request_cancel(work.connection, run.workspace_id, data.import_id):
            raise refused(
                Cause.NOT_FOUND,
                f"No import {data.import_id} is running in this workspace.",
                "It has ended already, or the id is not one of this workspace. Nothing has to be done.",
                fields=["import_id"],
            )
