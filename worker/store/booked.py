"""Which booked invoices Pike has: what an import of changes compares with e-conomic's numbers."""

from collections.abc import Sequence
from decimal import Decimal

from worker.store.pool import Connection

_LINKED = "from pike.invoices where workspace_id = $1 and agreement_number = $2 and booked_number is not null"


async def highest(connection: Connection, workspace_id: str, agreement: int) -> int:
    """Return the highest number of a booked invoice, 0 when there is none."""
    return int(await connection.fetchval(f"select coalesce(max(booked_number), 0) {_LINKED}", workspace_id, agreement))


async def count(connection: Connection, workspace_id: str, agreement: int) -> int:
    """Return how many booked invoices there are."""
    return int(await connection.fetchval(f"select count(*) {_LINKED}", workspace_id, agreement))


async def known(connection: Connection, workspace_id: str, agreement: int, numbers: Sequence[int]) -> frozenset[int]:
    """Return those of these booked numbers that Pike has."""
    rows = await connection.fetch(
        f"select booked_number {_LINKED} and external_number = any($3::text[])",
        workspace_id,
        agreement,
        [str(number) for number in numbers],
    )
    return frozenset(row["booked_number"] for row in rows)


async def open_remainders(
    connection: Connection, workspace_id: str, agreement: int, after: int, upto: int | None
) -> dict[int, Decimal | None]:
    """Return number → unpaid rest of the booked, unpaid invoices above ``after``, up to and with ``upto``."""
    rows = await connection.fetch(
        f"""select booked_number, remainder {_LINKED} and status = 'booked' and booked_number > $3
            and ($4::int is null or booked_number <= $4)""",
        workspace_id,
        agreement,
        after,
        upto,
    )
    return {row["booked_number"]: row["remainder"] for row in rows}
