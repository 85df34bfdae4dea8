"""The last step of an import: what vanished, R11, the data report, and the answer; all in one commit."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from events.imports import DataReport, ImportCompleted, ReportRow
from schemas.invoice import BookedTotals
from schemas.problem import Cause, Problem
from worker.handlers.importing.progress import Progress, sum_key
from worker.handlers.importing.stages import Sweep, announce, incomplete
from worker.handlers.importing.vanished import Kind, find_gone
from worker.run import Work
from worker.store import imports, invoices, records
from worker.telemetry.metrics import IMPORT_ROWS

DRAFT_GONE = Problem(
    cause=Cause.DRAFT_DELETED,
    user_message="This draft no longer exists in e-conomic and was not booked there.",
    remedy="If it should exist, send the invoice again from Pike; otherwise nothing has to be done.",
)


async def close_import(sweep: Sweep) -> None:
    """Finish an import. A sweep that was not complete fails it, before anything is deactivated."""
    progress = sweep.progress
    for stage, total in progress.totals.items():
        if not progress.complete(stage):
            raise incomplete(stage, progress.seen.get(stage, 0), total)
    if progress.wants("products") and not progress.seen.get("products"):
        progress.remarks.append("e-conomic has no products: Pike's own products were left active (R11).")
    totals = await sweep.api.booked_totals() if progress.wants("invoices") else None
    gone = {kind: await find_gone(sweep, kind) for kind in _swept(progress)}
    async with sweep.run.finish("completed") as work:
        await _vanish(sweep, work, gone)
        await _deactivate(sweep, work)
        report = await _report(sweep, work, totals)
        await imports.end(
            work.connection,
            progress.row.id,
            "completed",
            counts=progress.counts,
            report=report.model_dump(mode="json"),
        )
        counts = progress.entity_counts()
        work.emit(ImportCompleted(import_id=progress.row.event_id, counts=counts, report=report))
    for entity, counted in counts.items():
        for result, number in counted.model_dump().items():
            IMPORT_ROWS.labels(entity, result).inc(number)


def _swept(progress: Progress) -> list[Kind]:
    """Return the kinds whose missing records are gone. An empty list of products or customers proves nothing."""
    kinds: list[Kind] = []
    if progress.wants("products") and progress.seen.get("products"):
        kinds.append("products")
    if progress.wants("customers") and progress.seen.get("customers"):
        kinds.append("customers")
    if progress.wants("invoices"):
        kinds.append("drafts")
    return kinds


async def _vanish(sweep: Sweep, work: Work, gone: Mapping[Kind, Sequence[str]]) -> None:
    """Records that are gone in e-conomic become inactive, never deleted."""
    connection, progress = work.connection, sweep.progress
    scope = (sweep.workspace_id, sweep.agreement)
    if "products" in gone:
        ids = await records.mark_vanished(
            connection, records.PRODUCTS, *scope, progress.since_when("products"), gone["products"]
        )
        progress.deactivated("products", len(ids))
        announce(work, "product", ids)
    if "customers" in gone:
        ids = await records.mark_vanished(
            connection, records.CUSTOMERS, *scope, progress.since_when("customers"), gone["customers"]
        )
        progress.deactivated("customers", len(ids))
        announce(work, "customer", ids)
    if "drafts" in gone:
        problem = DRAFT_GONE.model_dump(mode="json")
        ids = await invoices.mark_vanished_drafts(
            connection, *scope, progress.since_when("drafts"), gone["drafts"], problem
        )
        progress.deactivated("invoices", len(ids))
        announce(work, "invoice", ids)


async def _deactivate(sweep: Sweep, work: Work) -> None:
    """R11: only after the complete list, refused on zero products; each row says which import did it."""
    progress = sweep.progress
    if progress.wants("products") and progress.seen.get("products"):
        ids = await records.deactivate_unlinked_products(
            work.connection, sweep.workspace_id, sweep.agreement, progress.row.id
        )
        progress.deactivated("products", len(ids))
        announce(work, "product", ids)


async def _report(sweep: Sweep, work: Work, totals: BookedTotals | None) -> DataReport:
    """Counts and sums of Pike's rows beside what e-conomic's documents said, and its own grand total (B7)."""
    progress = sweep.progress
    rows = [
        ReportRow(kind=kind, count=progress.seen.get(kind, 0), economic_count=progress.totals.get(kind))
        for kind in ("products", "customers")
        if progress.wants(kind)
    ]
    if totals is not None:
        sums = await imports.sums(work.connection, sweep.workspace_id, sweep.agreement)
        stored = {sum_key(row["document"], row["currency"], row["year"]): row for row in sums}
        rows += [_sum_row(key, stored.get(key), progress.sums.get(key)) for key in sorted({*stored, *progress.sums})]
        rows.append(_grand_total(sweep, totals))
    return DataReport(rows=tuple(rows), remarks=tuple(progress.remarks))


def _sum_row(key: str, stored: Mapping[str, Any] | None, stated: Sequence[Any] | None) -> ReportRow:
    """One currency and year: the rows in Pike against the documents as e-conomic stated them."""
    document, currency, year = key.split("|")
    count, net, vat, gross = (stored[name] for name in _SUMS) if stored else (0, Decimal(0), Decimal(0), Decimal(0))
    theirs = [Decimal(value) for value in stated or (0, 0, 0, 0)]
    return ReportRow(
        kind="drafts" if document == "draft" else "booked",
        currency=currency,
        year=int(year),
        count=count,
        net=net,
        vat=vat,
        gross=gross,
        economic_count=int(theirs[0]),
        economic_net=theirs[1],
        economic_vat=theirs[2],
        economic_gross=theirs[3],
        difference=gross - theirs[3],
    )


_SUMS = ("count", "net", "vat", "gross")


def _grand_total(sweep: Sweep, totals: BookedTotals) -> ReportRow:
    """All booked invoices in the base currency against e-conomic's own grand total."""
    net = Decimal(sweep.progress.base_net)
    stated = totals.net_amount_in_base_currency
    return ReportRow(
        kind="booked",
        currency=sweep.base_currency,
        count=sweep.progress.seen.get("booked", 0),
        net=net,
        economic_count=totals.invoice_count,
        economic_net=stated,
        difference=None if stated is None else net - stated,
    )
