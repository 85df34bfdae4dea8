"""Grant tokens at rest: sealed for one row, opened by any known key, shown by nothing."""

import base64
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from worker.store import connections
from worker.store.crypto import CannotOpen, Vault
from worker.store.pool import Database

OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.b64encode(b"n" * 32).decode()
TOKEN = "grant-token-in-clear"


async def establish(database: Database, vault: Vault, workspace: str) -> connections.EconomicConnection:
    async with database.transaction("test") as connection:
        return await connections.establish(
            connection, vault, workspace_id=workspace, agreement_number=7, company_name="Firma",
            base_currency="DKK", grant=SecretStr(TOKEN), defaults={},
        )  # fmt: skip


async def found(database: Database, workspace: str) -> connections.EconomicConnection:
    async with database.connection("test") as connection:
        row = await connections.find(connection, workspace)
    assert row is not None
    return row


@pytest.mark.requirement("R8")
async def test_a_stored_grant_opens_again(database: Database) -> None:
    vault = Vault.parse(NEW)
    await establish(database, vault, "ws")
    assert connections.open_grant(vault, await found(database, "ws")).get_secret_value() == TOKEN


@pytest.mark.requirement("R8")
async def test_no_column_holds_the_token_in_clear(database: Database, pike: asyncpg.Connection) -> None:
    await establish(database, Vault.parse(NEW), "ws")
    row = await pike.fetchrow("select c::text as shown, grant_sealed from economic.connections c")
    assert TOKEN not in row["shown"]
    assert TOKEN.encode() not in row["grant_sealed"]


async def test_a_sealed_grant_copied_to_another_row_does_not_open(database: Database, pike: asyncpg.Connection) -> None:
    vault = Vault.parse(NEW)
    await establish(database, vault, "rich")
    await establish(database, vault, "thief")
    await pike.execute(
        """update economic.connections set grant_sealed = (select grant_sealed from economic.connections
           where workspace_id = 'rich') where workspace_id = 'thief'"""
    )
    with pytest.raises(CannotOpen):
        connections.open_grant(vault, await found(database, "thief"))


async def test_an_altered_grant_does_not_open(database: Database, pike: asyncpg.Connection) -> None:
    vault = Vault.parse(NEW)
    await establish(database, vault, "ws")
    await pike.execute("update economic.connections set grant_sealed = set_byte(grant_sealed, 14, 0)")
    with pytest.raises(CannotOpen):
        connections.open_grant(vault, await found(database, "ws"))


async def test_after_a_rotation_the_old_key_still_opens_and_the_new_one_seals(database: Database) -> None:
    await establish(database, Vault.parse(OLD), "before")
    rotated = Vault.parse(f"{NEW},{OLD}")
    made = await establish(database, rotated, "after")
    assert connections.open_grant(rotated, await found(database, "before")).get_secret_value() == TOKEN
    assert made.sealed is not None
    assert made.sealed.key_id == "new"


async def test_a_missing_key_is_named_by_its_id_only(database: Database) -> None:
    await establish(database, Vault.parse(OLD), "ws")
    with pytest.raises(CannotOpen, match="'old'") as caught:
        connections.open_grant(Vault.parse(NEW), await found(database, "ws"))
    assert TOKEN not in str(caught.value)


async def test_reconnecting_keeps_the_row_and_its_choices(database: Database) -> None:
    vault = Vault.parse(NEW)
    first = await establish(database, vault, "ws")
    async with database.transaction("test") as connection:
        await connection.execute("update economic.connections set booking = 'book'")
    again = await establish(database, vault, "ws")
    assert (again.id, again.booking) == (first.id, "book")


async def test_the_same_token_is_sealed_differently_each_time() -> None:
    vault, row = Vault.parse(NEW), uuid4()
    assert vault.seal(SecretStr(TOKEN), row).data != vault.seal(SecretStr(TOKEN), row).data
