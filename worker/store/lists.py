"""Lists of a workspace's products, customers and invoices for people, a page at a time, each page beginning by key.

A list never counts and never skips: the cost of a page does not grow with how far down it is. Products and customers
come by name, invoices newest first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from worker.store.pool import Connection

Entity = Literal["product", "customer", "invoice"]
Key = tuple[str, UUID] | tuple[date, UUID]
"""A row at the edge of a page: what the list is ordered by, and the id."""

PAGE = 50
_MOST_NAMED = 20
"""Customers that a search for invoices by name looks at."""


@dataclass(frozen=True, slots=True)
class Record:
    """What every list shows of a record. ``tagged``: it is of the agreement that is connected now."""

    id: UUID
    key: str | date  # what the list is ordered by; a list of invoices has date.max for those without a date
    external_number: str | None
    name: str
    active: bool
    tagged: bool
    last_synced_at: datetime | None
    last_attempt_at: datetime | None
    last_problem: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ProductRecord(Record):
    """A product as listed."""

    sku: str | None
    unit: str | None
    price: Decimal | None
    currency: str | None
    barred: bool


@dataclass(frozen=True, slots=True)
class CustomerRecord(Record):
    """A customer as listed."""

    contact: str | None
    email: str | None
    city: str | None
    vat_number: str | None
    barred: bool


@dataclass(frozen=True, slots=True)
class InvoiceRecord(Record):
    """An invoice as listed; ``name`` is its title."""

    status: str
    customer_id: UUID | None
    customer: str | None
    issue_date: date | None
    due_date: date | None
    currency: str | None
    gross: Decimal | None
    remainder: Decimal | None
    draft: bool


_NAME = "lower(left(r.name, 60))"
_DAY = "coalesce(r.issue_date, 'infinity'::date)"
_TAGGED = "r.external_number is not null and c.status <> 'closed' and r.agreement_number = c.agreement_number"
_SHARED = f"""r.external_number, r.active, coalesce({_TAGGED}, false) as tagged, r.last_synced_at, r.last_attempt_at,
              r.last_problem"""
_CONNECTION = "left join economic.connections c on c.workspace_id = r.workspace_id"

FILTERS: Mapping[Entity, Mapping[str, str]] = {
    "product": {
        "": "true",
        "active": "r.active",
        "inactive": "not r.active",
        "problem": "r.last_problem is not null",
        "pike": "r.external_number is null",
    },
    "customer": {
        "": "true",
        "active": "r.active",
        "inactive": "not r.active",
        "problem": "r.last_problem is not null",
        "pike": "r.external_number is null",
    },
    "invoice": {
        "": "true",
        "problem": "r.last_problem is not null",
        "failed": "r.status = 'failed' and r.status <> 'paid'",  # the second half names the index that serves it
        "outcome_unknown": "r.status = 'outcome_unknown' and r.status <> 'paid'",
        "pending": "r.status = 'pending' and r.status <> 'paid'",
        "draft": "r.status = 'draft' and r.status <> 'paid'",
        "booked": "r.status = 'booked' and r.status <> 'paid'",
        "overdue": "r.status = 'booked' and r.status <> 'paid' and r.remainder <> 0 and r.due_date < current_date",
        "paid": "r.status = 'paid'",
    },
}
"""What a list can be narrowed to, and the condition. Conditions are constants, never data."""


async def products(
    connection: Connection,
    workspace_id: str,
    *,
    narrow: str = "",
    search: str = "",
    edge: Key | None = None,
    backwards: bool = False,
) -> list[ProductRecord]:
    """Return products by name; ``search`` is a number, or part of a name.

    From after ``edge`` on, or backwards from before it, in the order of that way; one more than a page if it goes on.
    """
    columns = f"r.id, {_NAME} as key, r.name, r.sku, r.unit, r.price, r.currency, r.barred, {_SHARED}"
    rows = await _by_name(connection, "product", columns, workspace_id, narrow, search, edge, backwards)
    return [ProductRecord(**row) for row in rows]


async def customers(
    connection: Connection,
    workspace_id: str,
    *,
    narrow: str = "",
    search: str = "",
    edge: Key | None = None,
    backwards: bool = False,
) -> list[CustomerRecord]:
    """Return customers by name, as ``products`` does."""
    columns = f"""r.id, {_NAME} as key, r.name, r.primary_contact_full_name as contact,
                  r.primary_contact_email as email, r.city, r.vat_number, r.barred, {_SHARED}"""
    rows = await _by_name(connection, "customer", columns, workspace_id, narrow, search, edge, backwards)
    return [CustomerRecord(**row) for row in rows]


async def invoices(
    connection: Connection,
    workspace_id: str,
    *,
    narrow: str = "",
    search: str = "",
    customer_id: UUID | None = None,
    edge: Key | None = None,
    backwards: bool = False,
) -> list[InvoiceRecord]:
    """Return invoices, newest first, as ``products`` does; ``search`` is a number, or part of a customer's name."""
    where, values = ["r.workspace_id = $1", FILTERS["invoice"][narrow]], [workspace_id, PAGE + 1, *(edge or ())]
    if edge:
        where.append(f"({_DAY}, r.id) {'>' if backwards else '<'} ($3, $4)")
    way = "" if backwards else "desc"
    if customer_id is not None:
        values.append(customer_id)
        where.append(f"r.customer_id = ${len(values)}")
    if search:
        named = await _customers_named(connection, workspace_id, search)
        values += [search, named]
        where.append(f"(r.external_number = ${len(values) - 1} or r.customer_id = any(${len(values)}::uuid[]))")
    rows = await connection.fetch(
        f"""select r.id, {_DAY} as key, r.title as name, r.status, r.customer_id, k.name as customer, r.issue_date,
                   r.due_date, r.currency, r.gross_amount as gross, r.remainder,
                   r.booked_number is null and r.draft_number is not null as draft, {_SHARED}
            from (select * from pike.invoices r where {" and ".join(where)}
                  order by {_DAY} {way}, r.id {way} limit $2) r
            left join pike.customers k on k.id = r.customer_id {_CONNECTION}
            order by {_DAY} {way}, r.id {way}""",  # noqa: S608
        *values,
    )
    return [InvoiceRecord(**row) for row in rows]


async def _by_name(
    connection: Connection,
    entity: Literal["product", "customer"],
    columns: str,
    workspace_id: str,
    narrow: str,
    search: str,
    edge: Key | None,
    backwards: bool,
) -> Sequence[Mapping[str, Any]]:
    where, values = ["r.workspace_id = $1", FILTERS[entity][narrow]], [workspace_id, PAGE + 1, *(edge or ())]
    if edge:
        where.append(f"({_NAME}, r.id) {'<' if backwards else '>'} ($3, $4)")
    way = "desc" if backwards else ""
    if search:
        values += [search, _containing(search)]
        where.append(f"(r.external_number = ${len(values) - 1} or r.name ilike ${len(values)})")
    # Tables and columns come from the constants above, never from data.
    rows: Sequence[Mapping[str, Any]] = await connection.fetch(
        f"""select {columns} from pike.{entity}s r {_CONNECTION} where {" and ".join(where)}
            order by {_NAME} {way}, r.id {way} limit $2""",  # noqa: S608
        *values,
    )
    return rows


async def _customers_named(connection: Connection, workspace_id: str, search: str) -> list[UUID]:
    rows = await connection.fetch(
        f"""select r.id from pike.customers r where r.workspace_id = $1 and r.name ilike $2
            order by {_NAME}, r.id limit $3""",  # noqa: S608
        workspace_id,
        _containing(search),
        _MOST_NAMED,
    )
    return [row["id"] for row in rows]


def _containing(text: str) -> str:
    """Return the pattern for "contains this text", whatever signs are in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
