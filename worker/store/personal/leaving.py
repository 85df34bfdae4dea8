"""Erasing a whole workspace: what is left is what guards against a second sending, and what accounts must keep."""

from worker.store.personal.erasing import Erased
from worker.store.personal.finding import tables
from worker.store.personal.person import ERASED
from worker.store.personal.places import CHILDREN, PERSON
from worker.store.pool import Connection

KEEP_YEARS = 5
"""Full years after the year of the invoice: bookkeeping acts count from the end of the financial year (Denmark § 12)."""

_OBSTACLES = (
    (
        "select status from economic.connections where workspace_id = $1 and status <> 'closed'",
        "its connection is {}: type pike-economic disconnect first",
    ),
    (
        "select event_id from economic.imports where workspace_id = $1 and state = 'running' limit 1",
        "import {} is running: wait for its end, or cancel it",
    ),
    (
        """select count(*) from economic.inbox
           where workspace_id = $1 and state in ('running', 'waiting', 'frozen') having count(*) > 0""",
        "{} of its events are not done yet: let them end first (pike-economic status)",
    ),
    (
        "select count(*) from economic.overflow where workspace_id = $1 having count(*) > 0",
        "{} of its messages wait for their turn: let them end first (pike-economic status)",
    ),
    (
        """select reference from economic.effects where workspace_id = $1 and state in ('intent', 'unknown') limit 1""",
        "nobody knows yet what became of {} in e-conomic: let it be settled first",
    ),
)

_KEPT = f"""
workspace_id = $1 and status in ('booked', 'paid') and booked_number is not null
and issue_date >= date_trunc('year', now()) - interval '{KEEP_YEARS} years'
"""

# In this order: what points at others goes before them.
_STEPS = (
    ("pike.invoices", f"delete from pike.invoices where workspace_id = $1 and ({_KEPT}) is not true"),  # noqa: S608
    (
        "pike.invoices",
        f"""update pike.invoices set title = '{ERASED}', project_id = null, last_problem = null, lines_hash = null,
            updated_at = now() where workspace_id = $1""",  # noqa: S608
    ),
    (
        "pike.invoice_lines",
        """update pike.invoice_lines l set description = null from pike.invoices i
           where i.id = l.invoice_id and i.workspace_id = $1""",
    ),
    (
        "pike.customers",
        """delete from pike.customers c where workspace_id = $1
           and not exists (select 1 from pike.invoices i where i.customer_id = c.id)""",
    ),
    (
        "pike.customers",
        f"""update pike.customers set name = '{ERASED}', {", ".join(f"{name} = null" for name in PERSON)},
            last_problem = null, active = false, updated_at = now() where workspace_id = $1""",  # noqa: S608
    ),
    (
        "pike.products",
        """delete from pike.products p where workspace_id = $1
           and not exists (select 1 from pike.invoice_lines l where l.product_id = p.id)""",
    ),
    (
        "pike.products",
        f"""update pike.products set name = '{ERASED}', sku = null, description = null, last_problem = null,
            active = false, updated_at = now() where workspace_id = $1""",  # noqa: S608
    ),
    (
        "pike.tax_rates",
        """delete from pike.tax_rates t where workspace_id = $1
           and not exists (select 1 from pike.invoice_lines l where l.tax_rate_id = t.id)""",
    ),
    (
        "economic.effects",
        "update economic.effects set body = '{}', problem = null where workspace_id = $1",
    ),
    # A letter that is erased was decided; the proof of outcomes still finds it, and the event.
    (
        "economic.dead_letters",
        f"""update economic.dead_letters
            set state = case state when 'open' then 'discarded' else state end,
                closed_at = coalesce(closed_at, now()), closed_by = coalesce(closed_by, 'erasure'),
                closed_reason = '{ERASED}', body = '{{}}', headers = '{{}}', history = '[]', detail = '',
                problem = jsonb_build_object('cause', problem -> 'cause')
            where workspace_id = $1""",  # noqa: S608
    ),
    (
        "economic.operator_audit",
        """update economic.operator_audit a set before = null, after = null, reason = null, details = '{}'
           from economic.dead_letters d where d.id = a.letter_id and d.workspace_id = $1""",
    ),
    (
        "economic.inbox",
        """update economic.inbox
           set body = null, headers = '{}', history = '[]',
               outcome = case state when 'parked' then 'erased' else outcome end,
               finished_at = case state when 'parked' then now() else finished_at end,
               state = case state when 'parked' then 'done' else state end
           where workspace_id = $1""",
    ),
    (
        "economic.access_audit",
        f"""update economic.access_audit
            set details = '{{}}', address = null,
                actor = case when actor like 'pike:%' then 'pike:{ERASED}' else actor end
            where workspace_id = $1""",  # noqa: S608
    ),
)

_STAY = {table for table, _ in _STEPS} | set(CHILDREN)
"""Tables whose rows are dealt with above, or go with their parents."""


async def erase_workspace(connection: Connection, workspace_id: str) -> Erased:
    """Erase a workspace in the caller's transaction. Any other table that names a workspace is emptied of it."""
    done = Erased()
    for sql, told in _OBSTACLES:
        found = await connection.fetchval(sql, workspace_id)
        if found is not None:
            done.obstacles.append(told.format(found))
    if done.obstacles:
        return done
    await connection.execute("set local pike_economic.housekeeping = 'on'")
    for table, sql in _STEPS:
        done.rows[table] += _count(await connection.execute(sql, workspace_id))
    for table in await tables(connection):
        if table not in _STAY:
            status = await connection.execute(f"delete from {table} where workspace_id = $1", workspace_id)  # noqa: S608
            done.rows[table] += _count(status)
    return done


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])
