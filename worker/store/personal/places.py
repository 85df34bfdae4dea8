"""Where a workspace's data lies, and which columns hold free text about people.

A column that is in neither list fails a test (``test_every_column_is_sorted``): whoever adds one decides.
"""

from dataclasses import dataclass

CHILDREN = {
    "pike.invoice_lines": ("invoice_id", "pike.invoices"),
    "economic.import_rejects": ("import_id", "economic.imports"),
    "economic.import_preview": ("import_id", "economic.imports"),
    "economic.import_pages": ("import_id", "economic.imports"),
    "economic.replay_letters": ("letter_id", "economic.dead_letters"),
    "economic.operator_audit": ("letter_id", "economic.dead_letters"),
    "economic.schedules": ("connection_id", "economic.connections"),
    "economic.hook_receivers": ("connection_id", "economic.connections"),
    "economic.hooks": ("connection_id", "economic.connections"),
    "economic.hints": ("connection_id", "economic.connections"),
}
"""Tables whose rows belong to the workspace of another row: key and table of that row."""

OF_NOBODY = frozenset(
    f"economic.{name}"
    for name in (
        "gates", "reconciliations", "workers", "lane_samples", "work_samples", "operator_sessions", "login_failures",
        "replays", "housekeeping", "entities",
    )
)  # fmt: skip
"""Tables about workers, agreements and operators: nothing of a workspace's people in them."""

SECRET = ("_hash", "_sealed", "idempotency_key")
"""Endings of columns that are neither shown nor searched."""


def scope_of(table: str) -> str:
    """SQL: row ``r`` of the table belongs to workspace ``$1``."""
    if table not in CHILDREN:
        return "r.workspace_id = $1"
    key, parent = CHILDREN[table]
    return f"exists (select 1 from {parent} p where p.id = r.{key} and p.workspace_id = $1)"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Place:
    """Free text of one table outside the read model: columns of text, of JSON, and of raw bodies."""

    table: str
    texts: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()


LOGS = (
    Place("economic.audit", documents=("changes",)),
    Place("economic.inbox", documents=("history", "headers"), bodies=("body",)),
    Place(
        "economic.dead_letters",
        texts=("detail", "closed_reason"),
        documents=("problem", "history", "headers"),
        bodies=("body",),
    ),
    Place("economic.outbox", texts=("last_error",), documents=("headers",), bodies=("body",)),
    Place("economic.overflow", documents=("headers",), bodies=("body",)),
    Place("economic.imports", documents=("report", "problem", "cursor")),
    Place("economic.import_rejects", texts=("reason", "raw")),
    Place("economic.import_preview", documents=("changes",)),
    Place("economic.customer_matches", texts=("name",)),
    Place("economic.effects", documents=("problem",), bodies=("body",)),
    Place("economic.operator_audit", texts=("reason",), documents=("details",), bodies=("before", "after")),
    Place("economic.access_audit", documents=("details",)),
    Place("economic.connections", documents=("problem",)),
    Place("economic.schedules", documents=("last_problem",)),
)
"""What the worker wrote down about events, records and people."""

PERSON = (
    "primary_contact_first_name", "primary_contact_last_name", "primary_contact_full_name", "primary_contact_email",
    "primary_contact_address", "address", "zip", "city", "country", "vat_number",
)  # fmt: skip
"""Columns of ``pike.customers`` about the person, beside the name."""
