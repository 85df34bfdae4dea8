"""Invoices with their lines and tax rates: a page at a time, newer wins, one Pike invoice from draft to paid (R21).

An invoice keeps its Pike id over its life. It is found again by our marker (``references.other``), else by its
draft's number when the booked document still tells it, else by its own number.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from schemas.invoice import PikeInvoice, PikeInvoiceLine
from worker.store.pool import Connection
from worker.store.records import Written, changes_between
from worker.store.tables import columns_of, pairs_of
from worker.store.upserts import stale_sql

_COLUMNS = (
    ("document", "text"),
    ("title", "text"),
    ("status", "text"),
    ("customer_number", "text"),
    ("issue_date", "date"),
    ("due_date", "date"),
    ("currency", "text"),
    ("net_amount", "numeric"),
    ("vat_amount", "numeric"),
    ("gross_amount", "numeric"),
    ("remainder", "numeric"),
    ("is_credit_note", "bool"),
    ("booked_number", "int"),
    ("draft_number", "int"),
    ("lines_hash", "bytea"),
)
_RULED = [name for name, _ in _COLUMNS if name not in ("document", "lines_hash", "draft_number")]
_COMPARED = [*_RULED, "draft_number", "customer_id"]

_MARKER = re.compile(r"\bPike ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


def marked_id(reference: str | None) -> UUID | None:
    """Return the Pike id in a reference that we wrote ourselves, else ``None``."""
    match = _MARKER.search(reference or "")
    return UUID(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class LinesOf:
    """Extra facts about the lines of an invoice that Pike made: its own line ids and the accounts it asked for."""

    ids: Mapping[int, UUID]
    accounts_requested: Mapping[int, int]


# A document that came into being from an invoice Pike already has takes over that row before the upsert:
# by our marker, or by the draft's number that a booked invoice carries as its order number.
_TAKE_OVER = """
update pike.invoices p
set external_number = t.number, booked_number = t.booked, agreement_number = $2,
    draft_number = coalesce(t.draft, p.draft_number)
from unnest($3::text[], $4::int[], $5::int[], $6::uuid[], $7::int[], $8::text[], $9::numeric[])
     as t(number, booked, draft, marked, order_number, customer_number, net)
where p.workspace_id = $1 and (p.agreement_number = $2 or p.agreement_number is null)
  and p.booked_number is null and (t.booked is not null or p.external_number is null)
  and (p.id = t.marked
       or (t.marked is null and t.order_number is not null and p.agreement_number = $2
           and p.draft_number = t.order_number and p.customer_number = t.customer_number and p.net_amount = t.net))
  and not exists (select 1 from pike.invoices o where o.workspace_id = $1 and o.agreement_number = $2
                  and o.external_number = t.number and (o.booked_number is not null) = (t.booked is not null))
"""


def _upsert_sql() -> str:
    names = [name for name, _ in _COLUMNS]
    arrays = ", ".join(f"${index}::{kind}[]" for index, (_, kind) in enumerate(_COLUMNS, start=7))
    sets = ", ".join(f"{name} = excluded.{name}" for name in _RULED)
    # Column names come from the constants above, never from data.
    return f"""
with incoming as (
    select t.*, c.id as customer_id
    from unnest($5::text[], $6::uuid[], {arrays}) as t(external_number, marked, {", ".join(names)})
    left join lateral (
        select k.id from pike.customers k
        where k.workspace_id = $1 and k.agreement_number = $2 and k.external_number = t.customer_number limit 1
    ) c on true
    left join lateral (
        select r.* from pike.invoices r
        where $4 and r.workspace_id = $1 and r.agreement_number = $2 and r.external_number = t.external_number
          and (r.booked_number is not null) = (t.booked_number is not null) limit 1
    ) now on true
    where now.id is null or ({columns_of("now", _RULED)}) is distinct from ({columns_of("t", _RULED)})
       or coalesce(t.draft_number, now.draft_number) is distinct from now.draft_number
       or coalesce(c.id, now.customer_id) is distinct from now.customer_id
       or coalesce(t.lines_hash, now.lines_hash) is distinct from now.lines_hash
       or not now.locked or not now.active or {stale_sql("now")}
), written as (
    insert into pike.invoices as r
        (id, workspace_id, agreement_number, external_number, customer_id, {", ".join(_RULED)}, draft_number,
         lines_hash, locked, last_synced_at, last_attempt_at, synced_as_of)
    select case when i.marked is null or exists (select 1 from pike.invoices x where x.id = i.marked)
                  or exists (select 1 from economic.effects e where e.subject_id = i.marked and e.workspace_id <> $1)
                then gen_random_uuid() else i.marked end, $1, $2, i.external_number, i.customer_id,
           {", ".join(f"i.{name}" for name in _RULED)}, i.draft_number, i.lines_hash, true, now(), now(), $3
    from incoming i
    -- a draft that was booked after this page was read must not come back as a second invoice
    where i.document = 'booked' or not exists (
        select 1 from pike.invoices b where b.workspace_id = $1 and b.agreement_number = $2
          and b.draft_number = i.draft_number and b.booked_number is not null and b.synced_as_of >= $3)
    order by i.external_number
    on conflict (workspace_id, agreement_number, external_number, (booked_number is not null)) do update
    set {sets}, customer_id = coalesce(excluded.customer_id, r.customer_id),
        draft_number = coalesce(excluded.draft_number, r.draft_number),
        lines_hash = coalesce(excluded.lines_hash, r.lines_hash), locked = true, active = true, vanished_at = null,
        last_synced_at = now(), last_attempt_at = now(), last_problem = null, synced_as_of = excluded.synced_as_of,
        updated_at = case when ({", ".join(f"r.{name}" for name in _RULED)}) is distinct from
                               ({", ".join(f"excluded.{name}" for name in _RULED)}) then now() else r.updated_at end
    where r.synced_as_of is null or r.synced_as_of <= excluded.synced_as_of
    returning r.*
)
select w.id, w.external_number, old.id is null as created,
       w.lines_hash is distinct from old.lines_hash as lines_changed,
       case when old.id is not null and ({columns_of("old", _COMPARED)}) is distinct from ({columns_of("w", _COMPARED)})
            then jsonb_build_array(jsonb_build_object({pairs_of("old", _COMPARED)}), jsonb_build_object({pairs_of("w", _COMPARED)})) end as versions
from written w
-- the statement's own snapshot: rows as they were before it, found by primary key
left join lateral (select r.* from pike.invoices r where r.id = w.id limit 1) old on true
"""  # noqa: S608


_UPSERT = _upsert_sql()

_LINES = """
with incoming as (
    select * from unnest($3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::text[], $8::numeric[], $9::numeric[],
                         $10::numeric[], $11::numeric[], $12::numeric[], $13::text[], $14::numeric[], $15::int[], $16::int[])
         as t(invoice_id, position, line_id, product_number, description, quantity, unit_price,
              discount_percent, net_amount, vat_amount, tax_name, tax_rate, finance_account, requested)
)
insert into pike.invoice_lines as l
    (id, invoice_id, position, product_id, description, quantity, unit_price, discount_percent, net_amount, vat_amount,
     tax_rate_id, finance_account, finance_account_requested)
select coalesce(i.line_id, gen_random_uuid()), i.invoice_id, i.position, p.id, i.description, i.quantity, i.unit_price,
       i.discount_percent, i.net_amount, i.vat_amount, x.id, i.finance_account, i.requested
from incoming i
left join pike.products p on p.workspace_id = $1 and p.agreement_number = $2 and p.external_number = i.product_number
left join pike.tax_rates x on x.workspace_id = $1 and x.agreement_number = $2 and x.name = i.tax_name and x.rate = i.tax_rate
on conflict (invoice_id, position) do update
set product_id = excluded.product_id, description = excluded.description, quantity = excluded.quantity,
    unit_price = excluded.unit_price, discount_percent = excluded.discount_percent, net_amount = excluded.net_amount,
    vat_amount = excluded.vat_amount, tax_rate_id = excluded.tax_rate_id,
    finance_account = coalesce(excluded.finance_account, l.finance_account),
    finance_account_requested = coalesce(excluded.finance_account_requested, l.finance_account_requested)
"""


async def upsert_invoices(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    invoices: Sequence[PikeInvoice],
    as_of: datetime,
    *,
    order_numbers: Mapping[str, int] | None = None,
    pushed: Mapping[UUID, LinesOf] | None = None,
    sparingly: bool = False,
) -> list[Written]:
    """Write a page of invoices, drafts or booked ones, read at ``as_of``.

    Customers and products must be in place before; tax rates are made here. Invoices whose ``lines`` were not read
    keep the lines they have. ``order_numbers`` maps a booked invoice's number to its order number.
    """
    if not invoices:
        return []
    await _tax_rates(connection, workspace_id, agreement, invoices)
    await _take_over(connection, workspace_id, agreement, invoices, order_numbers or {})
    rows = await connection.fetch(
        _UPSERT,
        workspace_id,
        agreement,
        as_of,
        sparingly,
        [invoice.external_number for invoice in invoices],
        [marked_id(invoice.reference) for invoice in invoices],
        *([_value(invoice, name) for invoice in invoices] for name, _ in _COLUMNS),
    )
    ids = {row["external_number"]: row["id"] for row in rows if row["lines_changed"]}
    changed = {ids[i.external_number]: i.lines for i in invoices if i.external_number in ids and i.lines is not None}
    await _lines(connection, workspace_id, agreement, changed, pushed or {})
    return [Written(r["id"], r["external_number"], r["created"], changes_between(r["versions"])) for r in rows]


def _value(invoice: PikeInvoice, column: str) -> object:
    if column == "lines_hash":
        return None if invoice.lines is None else hash_of(invoice.lines)
    if column == "status":
        return invoice.status.value
    return getattr(invoice, column)


def hash_of(lines: Sequence[PikeInvoiceLine]) -> bytes:
    """Fingerprint of an invoice's lines; equal lines need no write. 1.50 and 1.5 are the same amount."""
    text = "\x1e".join("\x1f".join(_plain(value) for value in _flat(line)) for line in lines)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _flat(line: PikeInvoiceLine) -> tuple[object, ...]:
    rate = line.tax_rate
    return (
        line.position,
        line.description,
        line.product_number,
        line.quantity,
        line.unit_price,
        line.discount_percent,
        line.net_amount,
        line.vat_amount,
        rate.name if rate else None,
        rate.rate if rate else None,
        line.finance_account,
    )


def _plain(value: object) -> str:
    return str(value.normalize()) if isinstance(value, Decimal) else repr(value)


async def _tax_rates(
    connection: Connection, workspace_id: str, agreement: int, invoices: Sequence[PikeInvoice]
) -> None:
    rates = {
        (line.tax_rate.name, line.tax_rate.rate): line.tax_rate.vat_code
        for invoice in invoices
        for line in invoice.lines or ()
        if line.tax_rate
    }
    if not rates:
        return
    ordered = sorted(rates)
    await connection.execute(
        """insert into pike.tax_rates as x (workspace_id, agreement_number, external_number, name, vat_code, rate, locked,
                                       last_synced_at, last_attempt_at, synced_as_of)
           select $1, $2, coalesce(t.code, t.name), t.name, t.code, t.rate, true, now(), now(), now()
           from unnest($3::text[], $4::numeric[], $5::text[]) as t(name, rate, code)
           on conflict (workspace_id, agreement_number, name, rate) do update
           set vat_code = excluded.vat_code, last_synced_at = now()
           where excluded.vat_code is not null and x.vat_code is distinct from excluded.vat_code""",
        workspace_id,
        agreement,
        [name for name, _ in ordered],
        [rate for _, rate in ordered],
        [rates[key] for key in ordered],
    )


async def _take_over(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    invoices: Sequence[PikeInvoice],
    order_numbers: Mapping[str, int],
) -> None:
    candidates = [i for i in invoices if marked_id(i.reference) or i.external_number in order_numbers]
    if not candidates:
        return
    await connection.execute(
        _TAKE_OVER,
        workspace_id,
        agreement,
        [i.external_number for i in candidates],
        [i.booked_number for i in candidates],
        [i.draft_number for i in candidates],
        [marked_id(i.reference) for i in candidates],
        [order_numbers.get(i.external_number) if i.booked_number else None for i in candidates],
        [i.customer_number for i in candidates],
        [i.net_amount for i in candidates],
    )


async def _lines(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    lines_by_invoice: Mapping[UUID, tuple[PikeInvoiceLine, ...]],
    pushed: Mapping[UUID, LinesOf],
) -> None:
    if not lines_by_invoice:
        return
    await connection.execute(
        """delete from pike.invoice_lines l using unnest($1::uuid[], $2::int[]) as t(invoice_id, count)
           where l.invoice_id = t.invoice_id and (l.position > t.count or l.position < 1)""",
        list(lines_by_invoice.keys()),
        [len(lines) for lines in lines_by_invoice.values()],
    )
    await _free_line_ids(connection, {id_: pushed[id_] for id_ in lines_by_invoice if id_ in pushed})
    flat = [(invoice_id, line) for invoice_id, lines in lines_by_invoice.items() for line in lines]
    own = [pushed.get(invoice_id) for invoice_id, _ in flat]
    await connection.execute(
        _LINES,
        workspace_id,
        agreement,
        [invoice_id for invoice_id, _ in flat],
        [line.position for _, line in flat],
        [extra.ids.get(line.position) if extra else None for extra, (_, line) in zip(own, flat, strict=True)],
        [line.product_number for _, line in flat],
        [line.description for _, line in flat],
        [line.quantity for _, line in flat],
        [line.unit_price for _, line in flat],
        [line.discount_percent for _, line in flat],
        [line.net_amount for _, line in flat],
        [line.vat_amount for _, line in flat],
        [line.tax_rate.name if line.tax_rate else None for _, line in flat],
        [line.tax_rate.rate if line.tax_rate else None for _, line in flat],
        [line.finance_account for _, line in flat],
        [
            extra.accounts_requested.get(line.position) if extra else None
            for extra, (_, line) in zip(own, flat, strict=True)
        ],
    )


async def _free_line_ids(connection: Connection, pushed: Mapping[UUID, LinesOf]) -> None:
    """Drop lines that Pike keeps at other positions than it published: their ids are needed where they were sent."""
    if not pushed:
        return
    placed = [(invoice_id, position, line) for invoice_id, of in pushed.items() for position, line in of.ids.items()]
    await connection.execute(
        """delete from pike.invoice_lines l using unnest($1::uuid[], $2::int[], $3::uuid[]) as t(invoice_id, position, id)
           where l.invoice_id = t.invoice_id and (l.id = t.id) <> (l.position = t.position)""",
        [invoice_id for invoice_id, _, _ in placed],
        [position for _, position, _ in placed],
        [line for _, _, line in placed],
    )
