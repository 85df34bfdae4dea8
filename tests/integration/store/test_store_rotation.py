"""Rotating encryption keys while workers go on: every grant is sealed anew, none is lost, old keys become needless."""

import asyncio
import base64
from uuid import uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from worker.runtime.rotating import rotate_keys
from worker.store import connections
from worker.store.crypto import ATTEMPT, CannotOpen, Sealed, Vault
from worker.store.pool import Database

OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.b64encode(b"n" * 32).decode()


async def establish(database: Database, vault: Vault, workspace: str, grant: str) -> None:
    async with database.transaction("test") as connection:
        await connections.establish(
            connection, vault, workspace_id=workspace, agreement_number=7, company_name="Firma",
            base_currency="DKK", grant=SecretStr(grant), defaults={},
        )  # fmt: skip


async def grants(database: Database, vault: Vault) -> dict[str, str]:
    async with database.connection("test") as connection:
        found = await connections.find_all(connection)
    return {each.workspace_id: connections.open_grant(vault, each).get_secret_value() for each in found}


async def test_after_a_rotation_the_new_key_alone_opens_everything(
    database: Database, pike: asyncpg.Connection
) -> None:
    for number in range(5):
        await establish(database, Vault.parse(OLD), f"ws-{number}", f"grant-{number}")
    attempt = uuid4()
    held = Vault.parse(OLD).seal(SecretStr("held-grant"), attempt, ATTEMPT)
    await pike.execute(
        """insert into economic.connect_attempts (id, workspace_id, link_nonce, browser_hash, state_hash, stage,
                                                  grant_sealed, grant_key_id, expires_at)
           values ($1, 'ws', 'n', '', '', 'confirm', $2, $3, now() + interval '1 hour')""",
        attempt, held.data, held.key_id,
    )  # fmt: skip
    done = await rotate_keys(database, Vault.parse(f"{NEW},{OLD}"))
    assert (done.key_id, done.rotated, done.kept) == ("new", 6, 0)
    assert await grants(database, Vault.parse(NEW)) == {f"ws-{number}": f"grant-{number}" for number in range(5)}
    row = await pike.fetchrow("select grant_sealed, grant_key_id from economic.connect_attempts")
    opened = Vault.parse(NEW).open(Sealed(row["grant_key_id"], row["grant_sealed"]), attempt, ATTEMPT)
    assert opened.get_secret_value() == "held-grant"
    assert set(await pike.fetchrow("select grant_version from economic.connections limit 1")) == {1}
    again = await rotate_keys(database, Vault.parse(f"{NEW},{OLD}"))
    assert (again.rotated, again.kept) == (0, 6)


async def test_workers_read_and_reconnect_while_keys_are_rotated(database: Database) -> None:
    both, names = Vault.parse(f"{NEW},{OLD}"), [f"ws-{number:02}" for number in range(20)]
    for name in names:
        await establish(database, Vault.parse(OLD), name, f"first-{name}")

    async def reconnect() -> None:
        for name in names[::2]:
            await establish(database, Vault.parse(f"{OLD},{NEW}"), name, f"second-{name}")

    async def read() -> None:
        for _ in range(20):
            assert len(await grants(database, both)) == 20

    await asyncio.gather(rotate_keys(database, both), reconnect(), read())
    await rotate_keys(database, both)
    expected = {name: f"{'second' if index % 2 == 0 else 'first'}-{name}" for index, name in enumerate(names)}
    assert await grants(database, Vault.parse(NEW)) == expected


async def test_a_rotation_stops_at_a_grant_it_cannot_open_and_leaves_it(database: Database) -> None:
    await establish(database, Vault.parse(OLD), "ws", "grant")
    with pytest.raises(CannotOpen, match="key 'old'"):
        await rotate_keys(database, Vault.parse(NEW))
    assert await grants(database, Vault.parse(OLD)) == {"ws": "grant"}


def test_what_the_version_before_sealed_still_opens_and_places_are_told_apart() -> None:
    row, nonce = uuid4(), b"n" * 12
    bound = f"economic.connections|grant_sealed|{row}".encode()
    before = Sealed("old", nonce + AESGCM(b"o" * 32).encrypt(nonce, b"grant", bound))
    vault = Vault.parse(OLD)
    assert vault.open(before, row).get_secret_value() == "grant"
    held = vault.seal(SecretStr("grant"), row, ATTEMPT)
    with pytest.raises(CannotOpen):
        vault.open(held, row)
    assert vault.seal(SecretStr("x"), row).data != vault.seal(SecretStr("x"), row).data
    with pytest.raises(CannotOpen):
        vault.open(Sealed("old", b"short"), row)
