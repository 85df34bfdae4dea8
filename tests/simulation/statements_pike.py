"""The statements on Pike's read model that a push and the lock guard use; see ``statements``."""

import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tests.simulation.statements import statement
from tests.simulation.tables import Row, Transaction
from worker.store.invoices import _COLUMNS as INVOICE_COLUMNS

INVOICES = "invoices"
CUSTOMERS = "customers"
PRODUCTS = "products"
LINES = "invoice_lines"
RATES = "tax_rates"


@statement("select id, workspace_id, agreement_number, external_number, status, locked, booked_number, draft_number")
def find_invoice(tx: Transaction, workspace: str, invoice: UUID) -> list[Row]:
    names = (
        "id", "workspace_id", "agreement_number", "external_number", "status", "locked", "booked_number",
        "draft_number",
    )  # fmt: skip
    row = _of(tx, INVOICES, workspace, invoice)
    return [{name: row[name] for name in names}] if row else []


@statement("select 'invoice' as what from pike.invoices where id = $2 and workspace_id <> $1")
def taken(
    tx: Transaction, workspace: str, invoice: UUID, customer: UUID, products: Sequence[UUID], lines: Sequence[UUID]
) -> list[Row]:
    effects = {row["subject_id"] for _, row in tx.rows("effects") if row["workspace_id"] != workspace}
    asked = [("invoice", INVOICES, invoice), ("customer", CUSTOMERS, customer)]
    asked += [("product", PRODUCTS, product) for product in products]
    found = [
        {"what": what}
        for what, table, key in asked
        if key in effects or ((row := tx.get(table, key)) and row["workspace_id"] != workspace)
    ]
    others = {row["id"] for key, row in tx.rows(LINES) if key[0] != invoice}  # type: ignore[index]
    return found + [{"what": "line"} for line in lines if line in others]


@statement("select workspace_id = $1 from pike.invoices where id = $2 for update")
def hold_invoice(tx: Transaction, workspace: str, invoice: UUID) -> list[Row]:
    tx.lock(INVOICES, invoice)
    row = tx.get(INVOICES, invoice)
    return [] if row is None else [{"ours": row["workspace_id"] == workspace}]


@statement("select locked or status = 'outcome_unknown' as locked")
def find_guarded_invoice(tx: Transaction, workspace: str, invoice: UUID) -> list[Row]:
    row = _of(tx, INVOICES, workspace, invoice)
    if row is None:
        return []
    document = "booked" if row["booked_number"] is not None else "draft" if row["draft_number"] is not None else None
    locked = row["locked"] or row["status"] == "outcome_unknown"
    return [
        {
            "locked": locked,
            "external_number": row["external_number"],
            "document": document,
            "agreement_number": row["agreement_number"],
        }
    ]


@statement("vat_number, address, zip, city, country, currency from pike.customers where "
           "workspace_id = $1 and id = $2")  # fmt: skip
def find_customer(tx: Transaction, workspace: str, customer: UUID, agreement: int) -> list[Row]:
    row = _of(tx, CUSTOMERS, workspace, customer)
    if row is None:
        return []
    number = row["external_number"] if row["agreement_number"] == agreement else None
    names = ("id", "name", "vat_number", "address", "zip", "city", "country", "currency")
    return [{**{name: row[name] for name in names}, "email": row["primary_contact_email"], "external_number": number}]


@statement("finance_account, active, barred from pike.products where workspace_id = $1 and id = any")
def find_products(tx: Transaction, workspace: str, ids: Sequence[UUID], agreement: int) -> list[Row]:
    names = ("id", "name", "finance_account", "active", "barred")
    found = [row for each in ids if (row := _of(tx, PRODUCTS, workspace, each))]
    return [
        {
            **{name: row[name] for name in names},
            "external_number": row["external_number"] if row["agreement_number"] == agreement else None,
        }
        for row in found
    ]


def _of(tx: Transaction, table: str, workspace: str, key: UUID) -> Row | None:
    row = tx.get(table, key)
    return row if row is not None and row["workspace_id"] == workspace else None


@statement("insert into pike.customers (id, workspace_id, name, primary_contact_email, vat_number, address, zip, city, "
           "country, currency) values")  # fmt: skip
def insert_customer(tx: Transaction, *values: Any) -> list[Row]:
    names = (
        "id", "workspace_id", "name", "primary_contact_email", "vat_number", "address", "zip", "city", "country",
        "currency",
    )  # fmt: skip
    row = dict(zip(names, values, strict=True))
    tx.lock(CUSTOMERS, row["id"])
    if tx.get(CUSTOMERS, row["id"]) is None:
        tx.put(CUSTOMERS, row["id"], {**row, "agreement_number": None, "external_number": None})
    return []


@statement("update pike.customers c set agreement_number = $2, external_number = t.number")
def link_customers(
    tx: Transaction, workspace: str, agreement: int, ids: Sequence[UUID], numbers: Sequence[str]
) -> list[Row]:
    linked = []
    for customer, number in zip(ids, numbers, strict=True):
        row = _of(tx, CUSTOMERS, workspace, customer)
        if row is None or row["external_number"] is not None:
            continue
        tx.lock(CUSTOMERS, customer)
        tx.lock("customers_unique", (workspace, agreement, number))
        row = _of(tx, CUSTOMERS, workspace, customer)
        taken = any(
            (other["workspace_id"], other["agreement_number"], other["external_number"])
            == (workspace, agreement, number)
            for _, other in tx.rows(CUSTOMERS)
        )
        if row is not None and row["external_number"] is None and not taken:
            linked.append(tx.change(CUSTOMERS, customer, agreement_number=agreement, external_number=number))
    return linked


@statement("update pike.customers set last_synced_at = now(), last_attempt_at = now(), last_problem = null")
def stamp_customer(tx: Transaction, workspace: str, agreement: int, number: str) -> list[Row]:
    for key, row in list(tx.rows(CUSTOMERS)):
        if (row["workspace_id"], row["agreement_number"], row["external_number"]) == (workspace, agreement, number):
            tx.change(CUSTOMERS, key, last_synced_at=tx.now)
    return []


@statement("insert into pike.invoices (id, workspace_id, title, status, customer_id")
def save_request(
    tx: Transaction, invoice: UUID, workspace: str, title: str, customer: UUID, issued: Any, due: Any, currency: str,
    project: str | None,
) -> list[Row]:  # fmt: skip
    tx.lock(INVOICES, invoice)
    if tx.get(INVOICES, invoice) is not None:
        return []
    known = _of(tx, CUSTOMERS, workspace, customer) is not None
    tx.put(INVOICES, invoice, {
        **dict.fromkeys(name for name, _ in INVOICE_COLUMNS), "id": invoice, "workspace_id": workspace, "title": title,
        "status": "pending", "customer_id": customer if known else None, "issue_date": issued, "due_date": due,
        "currency": currency, "project_id": project, "agreement_number": None, "external_number": None,
        "locked": False, "synced_as_of": None, "last_problem": None,
    })  # fmt: skip
    return [{"id": invoice}]


@statement("(id, invoice_id, position, product_id, description, quantity, unit_price, discount_percent, "
           "finance_account_requested) select")  # fmt: skip
def save_requested_line(
    tx: Transaction, line: UUID, invoice: UUID, position: int, product: UUID | None, description: str, quantity: Any,
    price: Any, discount: Any, account: int | None, workspace: str,
) -> list[Row]:  # fmt: skip
    tx.lock(LINES, (invoice, position))
    if tx.get(LINES, (invoice, position)) is None:
        tx.put(LINES, (invoice, position), {"id": line, "description": description})
    return []


@statement("update pike.invoices set status = $3, last_problem = $4")
def set_status(tx: Transaction, workspace: str, invoice: UUID, status: str, problem: Row | None) -> list[Row]:
    if _of(tx, INVOICES, workspace, invoice) is None:
        return []
    tx.lock(INVOICES, invoice)
    row = _of(tx, INVOICES, workspace, invoice)
    if row is not None and not row["locked"] and row["external_number"] is None:
        tx.change(INVOICES, invoice, status=status, last_problem=problem)
    return []


@statement("insert into pike.tax_rates as x")
def add_rates(
    tx: Transaction, workspace: str, agreement: int, names: Sequence[str], rates: Sequence[Any], codes: Sequence[Any]
) -> list[Row]:
    for name, rate, code in zip(names, rates, codes, strict=True):
        key = (workspace, agreement, name, rate)
        tx.lock(RATES, key)
        known = tx.get(RATES, key)
        if known is None or (code is not None and known["vat_code"] != code):
            tx.put(RATES, key, {"vat_code": code})
    return []


@statement("update pike.invoices p set external_number = t.number")
def take_over(
    tx: Transaction, workspace: str, agreement: int, numbers: Sequence[str], booked: Sequence[int | None],
    drafts: Sequence[int | None], marked: Sequence[UUID | None], orders: Sequence[int | None],
    customers: Sequence[str | None], nets: Sequence[Any],
) -> list[Row]:  # fmt: skip
    changed = []
    for number, book, draft, mark in zip(numbers, booked, drafts, marked, strict=True):
        row = _of(tx, INVOICES, workspace, mark) if mark else None
        if row is None:
            continue
        tx.lock(INVOICES, row["id"])
        row = tx.get(INVOICES, row["id"])
        assert row is not None
        fits = row["agreement_number"] in (agreement, None) and row["booked_number"] is None
        fits = fits and (book is not None or row["external_number"] is None)
        if fits and _by_number(tx, workspace, agreement, number, book is not None) is None:
            changed.append(tx.change(
                INVOICES, row["id"], external_number=number, booked_number=book, agreement_number=agreement,
                draft_number=draft or row["draft_number"],
            ))  # fmt: skip
    return changed


def _by_number(tx: Transaction, workspace: str, agreement: int, number: str, booked: bool) -> Row | None:
    wanted = (workspace, agreement, number, booked)
    for _, row in tx.rows(INVOICES):
        series = row["booked_number"] is not None
        if (row["workspace_id"], row["agreement_number"], row["external_number"], series) == wanted:
            return row
    return None


@statement("insert into pike.invoices as r")
def upsert_invoices(
    tx: Transaction, workspace: str, agreement: int, as_of: Any, _sparingly: bool, numbers: Sequence[str],
    marked: Sequence[UUID | None], *columns: Sequence[Any],
) -> list[Row]:  # fmt: skip
    names = [name for name, _ in INVOICE_COLUMNS]
    written = []
    for number, mark, *values in zip(numbers, marked, *columns, strict=True):
        incoming = dict(zip(names, values, strict=True))
        booked = incoming["booked_number"] is not None
        if incoming["document"] == "draft" and _booked_since(tx, workspace, agreement, incoming, as_of):
            continue
        tx.lock("invoices_unique", (workspace, agreement, number, booked))
        old = _by_number(tx, workspace, agreement, number, booked)
        if old is not None:
            tx.lock(INVOICES, old["id"])
            old = tx.get(INVOICES, old["id"])
        if old is not None and old["synced_as_of"] is not None and old["synced_as_of"] > as_of:
            continue
        written.append(_write_invoice(tx, workspace, agreement, as_of, number, mark, incoming, old))
    return written


def _write_invoice(
    tx: Transaction, workspace: str, agreement: int, as_of: Any, number: str, mark: UUID | None, incoming: Row,
    old: Row | None,
) -> Row:  # fmt: skip
    theirs = any(row["subject_id"] == mark and row["workspace_id"] != workspace for _, row in tx.rows("effects"))
    key = old["id"] if old else mark if mark and tx.get(INVOICES, mark) is None and not theirs else uuid.uuid4()
    kept = {
        name: incoming[name] if incoming[name] is not None or old is None else old[name]
        for name in ("draft_number", "lines_hash")
    }
    base = old or {"id": key, "workspace_id": workspace, "customer_id": None, "project_id": None}
    tx.put(INVOICES, key, {
        **base, **incoming, **kept, "agreement_number": agreement, "external_number": number, "locked": True,
        "last_problem": None, "synced_as_of": as_of,
    })  # fmt: skip
    lines_changed = old is None or kept["lines_hash"] != old["lines_hash"]
    return {
        "id": key, "external_number": number, "created": old is None, "lines_changed": lines_changed, "versions": None
    }  # fmt: skip


def _booked_since(tx: Transaction, workspace: str, agreement: int, incoming: Row, as_of: Any) -> bool:
    return any(
        row["draft_number"] == incoming["draft_number"] and row["booked_number"] is not None
        and row["synced_as_of"] >= as_of
        for _, row in tx.rows(INVOICES)
        if (row["workspace_id"], row["agreement_number"]) == (workspace, agreement)
    )  # fmt: skip


@statement("delete from pike.invoice_lines l using unnest")
def drop_lines(tx: Transaction, invoices: Sequence[UUID], counts: Sequence[int]) -> list[Row]:
    limits = dict(zip(invoices, counts, strict=True))
    for key, _ in list(tx.rows(LINES)):
        if key[0] in limits and key[1] > limits[key[0]]:  # type: ignore[index]
            tx.put(LINES, key, None)
    return []


@statement("insert into pike.invoice_lines as l")
def upsert_lines(
    tx: Transaction, workspace: str, agreement: int, invoices: Sequence[UUID], positions: Sequence[int],
    ids: Sequence[UUID | None], *columns: Sequence[Any],
) -> list[Row]:  # fmt: skip
    for invoice, position, line in zip(invoices, positions, ids, strict=True):
        tx.put(LINES, (invoice, position), {"id": line or uuid.uuid4()})
    return []
