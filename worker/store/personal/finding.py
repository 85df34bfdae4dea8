"""Reading a workspace's rows, of one customer or all, with raw bodies as text and without secrets."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from worker.store.personal.person import Person
from worker.store.personal.places import CHILDREN, SECRET, scope_of
from worker.store.pool import Connection

_TABLES = """
select n.nspname || '.' || c.relname as name,
       exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'workspace_id') as named
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('pike', 'economic') and c.relkind = 'r' order by 1
"""

_CUSTOMER = "select * from pike.customers where workspace_id = $1 and id = $2 for update"

_VERSIONS = """
select c ->> 'field' as field, v.value from economic.audit a
cross join jsonb_array_elements(a.changes) c cross join lateral (values (c ->> 'old'), (c ->> 'new')) v(value)
where a.workspace_id = $1 and a.entity = 'customer' and a.entity_id = $2 and v.value is not null
"""


class NoSuchCustomer(LookupError):
    """The workspace has no customer with this id."""


async def find_person(connection: Connection, workspace_id: str, customer_id: UUID) -> tuple[dict[str, Any], Person]:
    """Return a customer's row, locked until the commit, and the words it is and was known by."""
    row = await connection.fetchrow(_CUSTOMER, workspace_id, customer_id)
    if row is None:
        raise NoSuchCustomer(f"workspace {workspace_id} has no customer {customer_id}")
    earlier = await connection.fetch(_VERSIONS, workspace_id, customer_id)
    return dict(row), Person.of(customer_id, [dict(row), *({each["field"]: each["value"]} for each in earlier)])


async def tables(connection: Connection) -> list[str]:
    """Return the tables that hold something of workspaces."""
    return [row["name"] for row in await connection.fetch(_TABLES) if row["named"] or row["name"] in CHILDREN]


async def rows(
    connection: Connection, workspace_id: str, person: Person | None
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield table and row of everything that a workspace has, or that names the person; in one transaction."""
    for table in await tables(connection):
        async for row in connection.cursor(f"select r.* from {table} r where {scope_of(table)}", workspace_id):  # noqa: S608
            shown = {name: _shown(value) for name, value in row.items() if not name.endswith(SECRET)}
            if person is None or person.named_in(str(shown)):
                yield table, shown


def _shown(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
