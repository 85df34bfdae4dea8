"""Readers of the read model see the workspace they name, and nothing when they name none: every table, every view."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from store_kit import AGREEMENT, NOON, customer, invoice, product
from support import Databases

from worker.store import invoices, records
from worker.store.migrate import migrate
from worker.store.pool import Database
from worker.store.tables import CUSTOMERS, PRODUCTS

OURS, THEIRS = "ws-ours", "ws-theirs"

TABLES = ["products", "customers", "tax_rates", "invoices", "invoice_lines"]
VIEWS = [
    "revenue_by_month",
    "receivables",
    "top_customers",
    "customer_context",
    "project_context",
    "sync_status",
    "economic_tags",
    "freshness",
]
RELATIONS = [f"pike.{name}" for name in TABLES] + [f"pike_reporting.{name}" for name in VIEWS]
PASSWORD = secrets.token_hex(8)

_CONNECTED = """
insert into economic.connections (id, workspace_id, agreement_number, company_name, base_currency, status)
values (gen_random_uuid(), $1, $2, 'Firma', 'DKK', 'revoked')
"""


@pytest.fixture(autouse=True)
async def rows(database: Database) -> None:
    """Two workspaces with the same numbers, and something to see in every relation."""
    async with database.transaction("test") as connection:
        for workspace in (OURS, THEIRS):
            scope = (connection, workspace, AGREEMENT)
            await connection.execute(_CONNECTED, workspace, AGREEMENT)
            await records.upsert(connection, PRODUCTS, *scope[1:], [product("1", name=f"Vare {workspace}")], NOON)
            await records.upsert(connection, CUSTOMERS, *scope[1:], [customer("1", name=f"Kunde {workspace}")], NOON)
            await invoices.upsert_invoices(
                *scope, [invoice(10, customer_number="1", remainder="125.00", title=f"Faktura {workspace}")], NOON
            )
        await connection.execute("update pike.invoices set project_id = 'p1'")


@pytest.fixture
async def role(pike: asyncpg.Connection) -> AsyncIterator[str]:
    """A role as deploy/runbook.md describes it for Pike's readers."""
    name = f"pike_reader_{secrets.token_hex(4)}"
    await pike.execute(
        f"""create role {name} login password '{PASSWORD}';
            grant usage on schema pike, pike_reporting to {name};
            grant select on all tables in schema pike, pike_reporting to {name};"""
    )
    yield name
    await pike.execute(f"drop owned by {name}; drop role {name};")


@pytest.fixture
async def reader(module_database_url: str, role: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of that role."""
    parts = urlsplit(module_database_url)
    host = parts.netloc.rpartition("@")[2]
    connection = await asyncpg.connect(urlunsplit(parts._replace(netloc=f"{role}:{PASSWORD}@{host}")))
    yield connection
    await connection.close()


async def text_of(connection: asyncpg.Connection, relation: str) -> str:
    found: str | None = await connection.fetchval(f"select string_agg(to_jsonb(r)::text, ' ') from {relation} r")
    return found or ""


async def test_the_lists_of_this_test_are_complete(pike: asyncpg.Connection) -> None:
    found = await pike.fetch(
        """select format('%s.%s', n.nspname, c.relname) as name
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname in ('pike', 'pike_reporting') and c.relkind in ('r', 'v', 'm', 'p')"""
    )
    assert sorted(row["name"] for row in found) == sorted(RELATIONS)


@pytest.mark.parametrize("relation", RELATIONS)
async def test_a_reader_sees_the_workspace_it_names(
    pike: asyncpg.Connection, reader: asyncpg.Connection, relation: str
) -> None:
    everything = await pike.fetchval(f"select count(*) from {relation}")
    await reader.execute("select set_config('app.workspace', $1, false)", OURS)
    ours = await reader.fetchval(f"select count(*) from {relation}")
    assert THEIRS not in await text_of(reader, relation)
    await reader.execute("select set_config('app.workspace', $1, false)", THEIRS)
    theirs = await reader.fetchval(f"select count(*) from {relation}")
    assert OURS not in await text_of(reader, relation)
    assert ours == theirs > 0
    assert ours + theirs == everything


@pytest.mark.parametrize("relation", RELATIONS)
async def test_a_reader_that_names_no_workspace_sees_nothing(
    pike: asyncpg.Connection, reader: asyncpg.Connection, relation: str
) -> None:
    assert await pike.fetchval(f"select count(*) from {relation}") > 0
    assert await reader.fetchval(f"select count(*) from {relation}") == 0
    await reader.execute("set app.workspace = ''")
    assert await reader.fetchval(f"select count(*) from {relation}") == 0


async def test_the_setting_ends_with_its_transaction(reader: asyncpg.Connection) -> None:
    async with reader.transaction():
        await reader.execute(f"set local app.workspace = '{OURS}'")
        assert await reader.fetchval("select count(*) from pike.products") == 1
    assert await reader.fetchval("select count(*) from pike.products") == 0


async def test_a_condition_that_tells_is_not_tried_on_rows_of_others(reader: asyncpg.Connection) -> None:
    """A function of the reader's own, as cheap as it says it is, is asked about its own workspace's rows only."""
    await reader.execute(
        """create function pg_temp.tell(t text) returns boolean language plpgsql cost 0.0000001 as
           $$ begin raise notice '%', t; return true; end $$"""
    )
    told: list[str] = []
    reader.add_log_listener(lambda _connection, message: told.append(str(message.message)))
    await reader.execute(f"set app.workspace = '{OURS}'")
    for relation, column in (("pike.customers", "name"), ("pike_reporting.customer_context", "name")):
        await reader.fetch(f"select * from {relation} where pg_temp.tell({column})")
    assert told
    assert not [each for each in told if THEIRS in each]


async def test_a_service_that_writes_is_kept_to_its_workspace(
    pike: asyncpg.Connection, reader: asyncpg.Connection, role: str
) -> None:
    await pike.execute(f"grant insert, update, delete on all tables in schema pike to {role}")
    await reader.execute(f"set app.workspace = '{OURS}'")
    await reader.execute(f"insert into pike.invoices (workspace_id, title) values ('{OURS}', 'Egen')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await reader.execute(f"insert into pike.invoices (workspace_id, title) values ('{THEIRS}', 'Falsk')")
    theirs = await pike.fetchval("select id from pike.invoices where workspace_id = $1", THEIRS)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await reader.execute("insert into pike.invoice_lines (invoice_id, position) values ($1, 9)", theirs)
    assert await reader.execute("update pike.invoices set project_id = 'x' where id = $1", theirs) == "UPDATE 0"
    assert await reader.execute("delete from pike.customers where workspace_id = $1", THEIRS) == "DELETE 0"


async def test_the_worker_sees_every_workspace(database: Database) -> None:
    async with database.connection("test") as connection:
        for relation in RELATIONS:
            text = await text_of(connection, relation)
            if relation != "pike.invoice_lines":  # a line does not name its workspace
                assert OURS in text, relation
                assert THEIRS in text, relation


async def test_the_owner_needs_no_superuser(databases: Databases, pike: asyncpg.Connection) -> None:
    """Migrating and owning needs no right to create roles, and the owner's own rows are not hidden from it."""
    owner = f"pike_owner_{secrets.token_hex(4)}"
    url = databases.create(migrated=True)
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(f"create role {owner} login password '{PASSWORD}' nosuperuser nocreaterole")
        await admin.execute(f'grant create on database "{urlsplit(url).path[1:]}" to {owner}')
        await admin.execute(
            f"""drop schema pike cascade; drop schema pike_reporting cascade; drop schema economic cascade;
                drop table public.pike_economic_migrations; grant create on schema public to {owner}"""
        )
        parts = urlsplit(url)
        mine = urlunsplit(parts._replace(netloc=f"{owner}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"))
        assert await migrate(mine)
        session = await asyncpg.connect(mine)
        await session.execute(
            f"insert into pike.customers (workspace_id, name) values ('{OURS}', 'A'), ('{THEIRS}', 'B')"
        )
        assert await session.fetchval("select count(*) from pike.customers") == 2
        assert await session.fetchval("select count(*) from pike_reporting.sync_status") == 2
        await session.close()
    finally:
        await admin.close()
        databases.drop(url)
        await pike.execute(f"drop owned by {owner} cascade; drop role {owner};")
