"""What is gone in e-conomic: linked records that a complete sweep did not meet, asked for again where needed."""

import asyncio
from collections.abc import Sequence
from typing import Literal

from schemas.kinds import TEXT_NUMBERS, ListedEntity
from worker.economic.endpoints import EconomicApi
from worker.entities import ENTITIES
from worker.errors import Refused
from worker.handlers.importing.sweep import Sweep
from worker.store import imports, vanished

Swept = ListedEntity | Literal["drafts"]
"""A list of which an import can tell what is no longer on it. Booked invoices never go away."""

MAX_CHECKED = 500
"""Records asked for again, one by one; the rest is left to the next import."""

_AT_ONCE = 8


async def find_gone(sweep: Sweep, kind: Swept) -> list[str]:
    """Return the numbers of linked records that e-conomic no longer has.

    A list of one page is a snapshot: what is not on it does not exist. A list of several pages may have passed a
    record over while people worked, so each missing one is asked for once more. No transaction may be open.
    """
    progress = sweep.progress
    async with sweep.run.read() as connection:
        scope = (sweep.workspace_id, sweep.agreement)
        missing = await vanished.unmet(connection, kind, scope, progress.since_when(kind), progress.row.id)
        rejected = await imports.rejected_numbers(connection, progress.row.id, kind)
    if missing and not all(_usable(number, kind) for number in rejected):
        progress.remarks.append(
            f"Some {kind} could not be read and have no number: none was marked as gone, it may have been one of them."
        )
        return []
    spare = set(rejected)
    missing = [number for number in missing if number not in spare]
    if progress.pages.get(kind, 0) <= 1:
        return missing
    if len(missing) > MAX_CHECKED:
        progress.remarks.append(f"{len(missing)} {kind} seem to be gone; {MAX_CHECKED} were checked, the rest waits.")
        missing = missing[:MAX_CHECKED]
    still = await _still_there(sweep.api, kind, missing)
    return [number for number in missing if number not in still]


def _usable(number: str | None, kind: Swept) -> bool:
    named_by_text = kind != "drafts" and ENTITIES[kind].kind in TEXT_NUMBERS
    return number is not None and (named_by_text or number.isdigit())


async def _still_there(api: EconomicApi, kind: Swept, numbers: Sequence[str]) -> set[str]:
    if kind == "customers":
        return {str(c.customer_number) for c in await api.customers_by_number([int(number) for number in numbers])}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def exists(number: str) -> bool:
        async with gate:
            try:
                if kind == "drafts":
                    return await api.find_draft(int(number)) is not None
                return await api.find_record(ENTITIES[kind].listing, number) is not None
            except Refused:  # it is there, but cannot be read: not gone ("not found" is no error here)
                return True

    answers = await asyncio.gather(*(exists(number) for number in numbers))
    return {number for number, there in zip(numbers, answers, strict=True) if there}
