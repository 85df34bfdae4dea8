"""The records of a listed kind, in the order of their numbers: what is special about a kind is in its entry."""

from collections.abc import AsyncGenerator
from typing import Any

from schemas.base import Strict
from worker.economic.paging import Page
from worker.entities import EntityType
from worker.handlers.importing.ahead import ahead
from worker.handlers.importing.sweep import PageWrite, Sweep
from worker.run import Work
from worker.store import records


async def listed_stage(sweep: Sweep, entity: EntityType[Any, Any]) -> AsyncGenerator[PageWrite, None]:
    """Sweep all records of a kind, or those that changed."""
    progress = sweep.progress
    pages = sweep.api.record_pages(
        entity.listing, changed_since=progress.changed_since, start_page=progress.position, enough=sweep.enough
    )
    async with ahead(pages, lambda page: entity.rows(page.items, sweep.lookups)) as prepared:
        async for page, rows in prepared:
            yield _page(sweep, entity, page, rows)


def _page(sweep: Sweep, entity: EntityType[Any, Any], page: Page[Any], rows: list[Strict]) -> PageWrite:
    async def met(work: Work) -> None:
        await sweep.met(work, page, [str(entity.listing.key(item)) for item in page.items])

    async def write(work: Work) -> None:
        written = await records.upsert(
            work.connection, entity.table, *sweep.scope, rows, page.fetched_at, sparingly=True
        )
        sweep.record(entity.kind, written, page.rejects, read=len(rows))

    return PageWrite(page.is_last, met, write)
