"""Whether a record may be edited in Pike, and what to call it in a message."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from schemas.kinds import LIST_OF, Entity
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Guarded:
    """A record's lock. An invoice with an unknown outcome is frozen, which counts as locked (R22)."""

    locked: bool
    external_number: str | None
    document: Literal["draft", "booked"] | None = None
    agreement_number: int | None = None


_LISTED = "select locked, external_number, null as document, agreement_number from"
_INVOICE = """select locked or status = 'outcome_unknown' as locked, external_number,
                     case when booked_number is not null then 'booked'
                          when draft_number is not null then 'draft' end as document, agreement_number
              from"""


async def find(connection: Connection, entity: Entity, workspace_id: str, record_id: UUID) -> Guarded | None:
    """Return a record's lock, or ``None`` when the workspace has no such record."""
    row = await connection.fetchrow(
        f"{_INVOICE if entity == 'invoice' else _LISTED} pike.{LIST_OF[entity]} where workspace_id = $1 and id = $2",
        workspace_id,
        record_id,
    )
    return Guarded(**row) if row else None


async def find_by_number(
    connection: Connection,
    entity: Entity,
    scope: tuple[str, int],
    external_number: str,
    document: Literal["draft", "booked"],
) -> UUID | None:
    """Return the id of a linked record by e-conomic's number; ``scope``: workspace and agreement.

    ``document`` tells an invoice's series.
    """
    found: UUID | None = await connection.fetchval(
        f"""select id from pike.{LIST_OF[entity]} where workspace_id = $1 and agreement_number = $4 and external_number = $2
            {"and (booked_number is not null) = $3" if entity == "invoice" else "and $3::bool is not null"}
            order by last_synced_at desc nulls last limit 1""",  # noqa: S608
        scope[0],
        external_number,
        document == "booked",
        scope[1],
    )
    return found
