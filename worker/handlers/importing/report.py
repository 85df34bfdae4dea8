"""The data report at the end of an import: Pike's rows beside what e-conomic's documents said (B7)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from events.imports import DataReport, ReportRow
from schemas.invoice import BookedTotals
from worker.entities import ENTITIES
from worker.handlers.importing.progress import sum_key
from worker.handlers.importing.sweep import Sweep
from worker.run import Work
from worker.store import booked, imports


async def make_report(sweep: Sweep, work: Work, totals: BookedTotals | None) -> DataReport:
    """Counts and sums of Pike's rows beside what e-conomic's documents said, and its own grand total.

    An import of changes has not met the documents; of invoices it compares how many are booked.
    """
    progress = sweep.progress
    rows = [
        ReportRow(kind=kind, count=progress.seen.get(kind, 0), economic_count=progress.totals.get(kind))
        for kind in ENTITIES
        if progress.swept_all(kind)
    ]
    if totals is not None and not progress.swept_all("invoices"):
        have = await booked.count(work.connection, *sweep.scope)
        rows.append(ReportRow(kind="booked", count=have, economic_count=totals.invoice_count))
        if have != totals.invoice_count:
            progress.remarks.append(
                f"e-conomic has {totals.invoice_count} booked invoices, Pike has {have}: import everything once."
            )
    elif totals is not None:
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
