"""Customers of e-conomic that fit several of Pike's: listed for a person, and what people decided (B11)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from worker.store.pool import Connection

State = Literal["open", "linked", "created", "ignored"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of Pike's customers that it may be."""

    id: UUID
    name: str
    vat_number: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """A customer of e-conomic and what was decided of it. ``matched_by``: what they have in common."""

    workspace_id: str
    agreement_number: int
    external_number: str
    name: str
    matched_by: str
    state: State
    found_at: datetime
    candidates: tuple[Candidate, ...]


async def search(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    states: Sequence[State] = ("open",),
    limit: int | None = None,
) -> list[Match]:
    """Return matches in these states, oldest first, with the candidates as they are now and still unlinked."""
    rows = await connection.fetch(
        """select workspace_id, agreement_number, external_number, name, matched_by, state, found_at, candidates
           from economic.customer_matches where workspace_id = $1 and agreement_number = $2 and state = any($3::text[])
           order by found_at, external_number limit $4""",
        workspace_id,
        agreement,
        list(states),
        limit,
    )
    wanted = {candidate for row in rows for candidate in row["candidates"]}
    found = await connection.fetch(
        """select id, name, vat_number, primary_contact_email as email from pike.customers
           where workspace_id = $1 and id = any($2::uuid[]) and external_number is null""",
        workspace_id,
        list(wanted),
    )
    known = {row["id"]: Candidate(**row) for row in found}
    return [
        Match(**{**row, "candidates": tuple(known[each] for each in row["candidates"] if each in known)})
        for row in rows
    ]


async def decided(connection: Connection, workspace_id: str, agreement: int) -> dict[str, State]:
    """Return number → decision of those that people decided otherwise than by linking."""
    rows = await connection.fetch(
        """select external_number, state from economic.customer_matches
           where workspace_id = $1 and agreement_number = $2 and state in ('created', 'ignored')""",
        workspace_id,
        agreement,
    )
    return {row["external_number"]: row["state"] for row in rows}


async def decide(connection: Connection, workspace_id: str, agreement: int, number: str, state: State) -> None:
    """Keep a person's decision. A number that was never in doubt may be put on the ignore list as well."""
    await connection.execute(
        """insert into economic.customer_matches as m
             (workspace_id, agreement_number, external_number, name, matched_by, candidates, state)
           values ($1, $2, $3, $3, 'name', '{}', $4)
           on conflict (workspace_id, agreement_number, external_number) do update set state = excluded.state""",
        workspace_id,
        agreement,
        number,
        state,
    )


async def open_matches(connection: Connection, workspace_id: str, agreement: int) -> set[str]:
    """Return the numbers of customers that wait for a person's decision: no row may be made for them meanwhile."""
    rows = await connection.fetch(
        """select external_number from economic.customer_matches
           where workspace_id = $1 and agreement_number = $2 and state in ('open', 'ignored')""",
        workspace_id,
        agreement,
    )
    return {row["external_number"] for row in rows}


async def save_ambiguous(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    import_id: UUID | None,
    matches: Sequence[dict[str, Any]],
) -> None:
    """List customers that fit several Pike customers, for a person to resolve. Repeats change nothing."""
    for match in matches:
        await connection.execute(
            """insert into economic.customer_matches
                 (workspace_id, agreement_number, external_number, name, matched_by, candidates, import_id)
               values ($1, $2, $3, $4, $5, $6, $7)
               on conflict (workspace_id, agreement_number, external_number) do update
               set candidates = excluded.candidates, matched_by = excluded.matched_by, name = excluded.name
               where economic.customer_matches.state = 'open'""",
            workspace_id,
            agreement,
            match["external_number"],
            match["name"],
            match["matched_by"],
            match["candidates"],
            import_id,
        )


async def settle(
    connection: Connection, workspace_id: str, agreement: int, *, linked: Sequence[str], written: Sequence[str]
) -> None:
    """Close matches that nobody needs to decide any more: the customer has a row of Pike's now, or one of its own."""
    await connection.execute(
        """update economic.customer_matches
           set state = case when external_number = any($3::text[]) then 'linked' else 'created' end
           where workspace_id = $1 and agreement_number = $2 and state = 'open' and external_number = any($4::text[])""",
        workspace_id,
        agreement,
        list(linked),
        list(written),
    )


async def is_open(connection: Connection, workspace_id: str, agreement: int, number: str) -> bool:
    """Whether this customer waits for a decision; held for the caller's transaction, so that two people do not decide."""
    return (
        await connection.fetchval(
            """select 1 from economic.customer_matches
               where workspace_id = $1 and agreement_number = $2 and external_number = $3 and state = 'open' for update""",
            workspace_id,
            agreement,
            number,
        )
        is not None
    )
