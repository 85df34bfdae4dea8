"""Whether what surrounds a worker is as it must be. ``doctor`` prints all of it; a start stops at what is wrong."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from worker.broker.broker import Broker
from worker.clock import Clock
from worker.errors import SchemaMismatch
from worker.store import keys, server
from worker.store.crypto import Vault
from worker.store.pool import Connection, Database
from worker.supported import POSTGRES, PYTHON, RABBITMQ, Supported
from worker.version import version

log = structlog.get_logger()

SKEW_S = 5.0
"""Links, grants and retention compare this machine's time with the database's; leases do not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty when it is well; ``wrong`` keeps a worker from starting."""

    name: str
    level: Literal["well", "odd", "wrong"]
    detail: str
    remedy: str = ""


async def examine_store(database: Database, vault: Vault, clock: Clock) -> list[Finding]:
    """Look at Python, Postgres, our rights there, the clocks and the encryption keys. Raises ``StoreUnavailable``."""
    async with database.connection("examine the database") as connection:
        found = await server.describe(connection)
        return [
            _version("python", PYTHON, platform.python_version()),
            _version("postgres", POSTGRES, found.version),
            _role(found),
            await _clock(connection, clock),
            *_keys(await keys.opened(connection, vault)),
            _workers(await server.other_versions(connection, version())),
        ]


async def examine_broker(broker: Broker) -> Finding:
    """Look at RabbitMQ. Needs no plugin: quorum queues are part of every version supported."""
    return _version("rabbitmq", RABBITMQ, await broker.server_version())


def require(findings: Sequence[Finding]) -> None:
    """Log what is odd. Raises ``SchemaMismatch`` with the first thing that is wrong and what to do."""
    for each in findings:
        if each.level == "wrong":
            raise SchemaMismatch(f"{each.detail}. {each.remedy}")
        if each.level == "odd":
            log.warning("start.odd", what=each.name, detail=each.detail, remedy=each.remedy)


def _version(name: str, supported: Supported, found: str) -> Finding:
    complaint = supported.complaint(found)
    if complaint is None:
        return Finding(name, "well", f"{supported.what} {found} (supported: {supported.told})")
    return Finding(name, "wrong" if supported.too_old(found) else "odd", *complaint)


def _role(found: server.Server) -> Finding:
    if not found.restricted:
        return Finding("database role", "well", f"'{found.role}' sees every workspace")
    return Finding(
        "database role",
        "wrong",
        f"the database role '{found.role}' sees no workspace: row-level security applies to it",
        "Connect as the role that typed pike-economic migrate, as a member of it, or give the role BYPASSRLS.",
    )


async def _clock(connection: Connection, clock: Clock) -> Finding:
    before = clock.now()
    told = await server.now(connection)
    after = clock.now()
    skew_s = (told - (before + (after - before) / 2)).total_seconds()
    if abs(skew_s) <= SKEW_S:
        return Finding("clock", "well", f"{abs(skew_s):.1f} s from the database's")
    return Finding(
        "clock",
        "odd",
        f"this machine's clock is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} the database's",
        "Have both machines keep their time by NTP.",
    )


def _keys(found: dict[str, tuple[int, str | None]]) -> list[Finding]:
    findings = []
    for key_id, (count, why) in sorted(found.items()):
        sealed = f"{count} secret{'s' if count > 1 else ''} sealed with key '{key_id}'"
        if why is None:
            findings.append(Finding(f"encryption key '{key_id}'", "well", f"opens {sealed}"))
        else:
            findings.append(
                Finding(
                    f"encryption key '{key_id}'",
                    "wrong",
                    f"none opens of {sealed}: {why}",
                    f"Put the key that has this id back into PIKE_ECONOMIC_ENCRYPTION_KEYS ('{key_id}:…'; it need not "
                    "be the first). If it is lost, disconnect the workspaces and connect them again.",
                )
            )
    return findings


def _workers(others: list[str]) -> Finding:
    if not others:
        return Finding("workers", "well", "no worker of another version runs beside this one")
    return Finding(
        "workers",
        "odd",
        f"workers of another version than {version()} run beside this one: {', '.join(others)}",
        "Replace them by this version, one by one, once the upgrade is meant to be over.",
    )
