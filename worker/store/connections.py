"""Which workspace is connected to which agreement, with its sealed grant and its choices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from worker.store.crypto import Sealed, Vault
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class EconomicConnection:
    """A workspace's agreement. ``grant`` stays sealed; :func:`open_grant` opens it where a call is made."""

    id: UUID
    workspace_id: str
    agreement_number: int
    company_name: str
    base_currency: str
    status: str
    sealed: Sealed | None = field(repr=False)
    booking: str = "draft"
    on_missing_product: str = "halt"
    on_missing_customer: str = "create"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None
    grant_version: int = 1
    sync_every_minutes: int | None = None
    """How often what changed is read; ``None`` is the worker's default."""

    @property
    def active(self) -> bool:
        """True while e-conomic accepts the grant, as far as we know."""
        return self.status == "active"


_NAMES = (
    "id", "workspace_id", "agreement_number", "company_name", "base_currency", "status", "grant_sealed", "grant_key_id",
    "booking", "on_missing_product", "on_missing_customer", "defaults", "problem", "grant_version", "sync_every_minutes",
)  # fmt: skip
_COLUMNS = ", ".join(_NAMES)


def columns_of(alias: str) -> str:
    """SQL: the columns that ``read`` wants."""
    return ", ".join(f"{alias}.{name}" for name in _NAMES)


def open_grant(vault: Vault, connection: EconomicConnection) -> SecretStr:
    """Open the grant token of an active connection. Raises ``CannotOpen``."""
    if connection.sealed is None:
        raise ValueError(f"connection {connection.id} has no grant")
    return vault.open(connection.sealed, connection.id)


async def find(connection: Connection, workspace_id: str) -> EconomicConnection | None:
    """Return the workspace's connection in whatever state."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from economic.connections where workspace_id = $1",  # noqa: S608
        workspace_id,
    )
    return read(row) if row else None


async def find_all(connection: Connection) -> list[EconomicConnection]:
    """Return every connection, by workspace."""
    rows = await connection.fetch(f"select {_COLUMNS} from economic.connections order by workspace_id")  # noqa: S608
    return [read(row) for row in rows]


async def establish(
    connection: Connection,
    vault: Vault,
    *,
    workspace_id: str,
    agreement_number: int,
    company_name: str,
    base_currency: str,
    grant: SecretStr,
    defaults: Mapping[str, Any],
    booking: str | None = None,
) -> EconomicConnection:
    """Connect or reconnect a workspace. The grant is sealed for this row; choices made before are kept.

    Another agreement than before gets its own defaults: its groups and terms have numbers of their own.
    """
    known = await connection.fetchval(
        "select id from economic.connections where workspace_id = $1 for update", workspace_id
    )
    row_id: UUID = known or uuid4()
    sealed = vault.seal(grant, row_id)
    row = await connection.fetchrow(
        f"""insert into economic.connections as c
              (id, workspace_id, agreement_number, company_name, base_currency, status, grant_sealed, grant_key_id, defaults, booking)
            values ($1, $2, $3, $4, $5, 'active', $6, $7, $8, coalesce($9, 'draft'))
            on conflict (workspace_id) do update
            set agreement_number = excluded.agreement_number, company_name = excluded.company_name,
                base_currency = excluded.base_currency, status = 'active', problem = null,
                grant_sealed = excluded.grant_sealed, grant_key_id = excluded.grant_key_id,
                grant_version = c.grant_version + 1,
                defaults = case when c.agreement_number = excluded.agreement_number
                                then excluded.defaults || c.defaults else excluded.defaults end,
                booking = coalesce($9, c.booking), updated_at = now()
            returning {_COLUMNS}""",  # noqa: S608
        row_id,
        workspace_id,
        agreement_number,
        company_name,
        base_currency,
        sealed.data,
        sealed.key_id,
        dict(defaults),
        booking,
    )
    return read(row)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person chose for a connection. ``defaults`` are added to those of the row."""

    booking: str
    on_missing_customer: str
    on_missing_product: str
    sync_every_minutes: int | None
    defaults: Mapping[str, Any]


async def choose(connection: Connection, workspace_id: str, choices: Choices) -> EconomicConnection:
    """Store a person's choices. Raises ``LookupError`` for a workspace that has no connection."""
    row = await connection.fetchrow(
        f"""update economic.connections
            set booking = $2, on_missing_customer = $3, on_missing_product = $4, sync_every_minutes = $5,
                defaults = defaults || $6, updated_at = now()
            where workspace_id = $1 returning {_COLUMNS}""",  # noqa: S608
        workspace_id,
        choices.booking,
        choices.on_missing_customer,
        choices.on_missing_product,
        choices.sync_every_minutes,
        dict(choices.defaults),
    )
    if row is None:
        raise LookupError(f"workspace {workspace_id} has no connection")
    return read(row)


async def in_other_workspaces(connection: Connection, agreement_number: int, workspace_id: str) -> bool:
    """Whether another workspace is connected to this agreement. Until the commit no other may come to be."""
    await connection.execute("select pg_advisory_xact_lock(hashtext('connect'), $1)", agreement_number)
    return bool(
        await connection.fetchval(
            """select exists (select 1 from economic.connections
                              where agreement_number = $1 and workspace_id <> $2 and status <> 'closed')""",
            agreement_number,
            workspace_id,
        )
    )


class Refusal(StrEnum):
    """What a grant that e-conomic refused means for its workspace."""

    FIRST = "first"  # held from now on; whoever learns this announces it
    KNOWN = "known"  # held before
    OUTDATED = "outdated"  # somebody reconnected meanwhile: the refusal was of an older grant


async def refuse_grant(
    connection: Connection, workspace_id: str, grant_version: int, problem: dict[str, Any]
) -> Refusal:
    """Hold the workspace because e-conomic refused this version of its grant.

    Locks the row: a reconnect that goes on at the same time either sees the events that are parked with this, or has
    made the refusal outdated.
    """
    row = await connection.fetchrow(
        "select status, grant_version from economic.connections where workspace_id = $1 for update", workspace_id
    )
    if row is None or row["grant_version"] != grant_version:
        return Refusal.OUTDATED
    if row["status"] != "active":
        return Refusal.KNOWN
    await connection.execute(
        "update economic.connections set status = 'revoked', problem = $2, updated_at = now() where workspace_id = $1",
        workspace_id,
        problem,
    )
    return Refusal.FIRST


async def close(connection: Connection, workspace_id: str) -> EconomicConnection | None:
    """Disconnect: the grant is forgotten, the data stays. ``None`` when there was nothing to close."""
    row = await connection.fetchrow(
        f"""update economic.connections
            set status = 'closed', grant_sealed = null, grant_key_id = null, updated_at = now()
            where workspace_id = $1 and status <> 'closed' returning {_COLUMNS}""",  # noqa: S608
        workspace_id,
    )
    return read(row) if row else None


async def unlock_drafts(connection: Connection, workspace_id: str) -> int:
    """After a disconnect drafts may be edited in Pike again; booked invoices stay as e-conomic has them."""
    status: str = await connection.execute(
        """update pike.invoices set locked = false, updated_at = now()
           where workspace_id = $1 and locked and booked_number is null""",
        workspace_id,
    )
    return int(status.rsplit(" ", 1)[1])


def read(row: Any) -> EconomicConnection:
    """Return the connection that a row with these columns tells of."""
    sealed = Sealed(row["grant_key_id"], row["grant_sealed"]) if row["grant_sealed"] else None
    return EconomicConnection(
        id=row["id"],
        workspace_id=row["workspace_id"],
        agreement_number=row["agreement_number"],
        company_name=row["company_name"],
        base_currency=row["base_currency"],
        status=row["status"],
        sealed=sealed,
        booking=row["booking"],
        on_missing_product=row["on_missing_product"],
        on_missing_customer=row["on_missing_customer"],
        defaults=row["defaults"],
        problem=row["problem"],
        grant_version=row["grant_version"],
        sync_every_minutes=row["sync_every_minutes"],
    )
