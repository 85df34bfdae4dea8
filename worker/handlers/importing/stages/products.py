"""Products, in the order of their numbers."""

from collections.abc import AsyncGenerator

from schemas.product import EconomicProduct, PikeProduct
from worker.economic.paging import Page
from worker.handlers.importing.ahead import ahead
from worker.handlers.importing.sweep import PageWrite, Sweep
from worker.mapping import product as product_mapping
from worker.run import Work
from worker.store import records


async def products_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all products, or those that changed."""

    async def mapped(page: Page[EconomicProduct]) -> list[PikeProduct]:
        units = await sweep.lookups.unit_names() if page.items else {}
        return [
            product_mapping.to_pike(product, sweep.base_currency, await sweep.lookups.finance_account(product), units)
            for product in page.items
        ]

    progress = sweep.progress
    pages = sweep.api.product_pages(
        changed_since=progress.changed_since, start_page=progress.position, enough=sweep.enough
    )
    async with ahead(pages, mapped) as prepared:
        async for page, rows in prepared:
            yield _page(sweep, page, rows)


def _page(sweep: Sweep, page: Page[EconomicProduct], rows: list[PikeProduct]) -> PageWrite:
    async def met(work: Work) -> None:
        await sweep.met(work, page, [row.external_number for row in rows])

    async def write(work: Work) -> None:
        written = await records.upsert_products(work.connection, *sweep.scope, rows, page.fetched_at, sparingly=True)
        sweep.record("product", written, page.rejects, read=len(rows))

    return PageWrite(page.is_last, met, write)
