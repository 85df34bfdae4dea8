"""Any list of records, page by page and one by one; which lists there are is said elsewhere (``worker.entities``)."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from schemas.problem import Cause
from worker.economic.endpoints.calls import PAGE_SIZE, Calls, Enough, changed, never, or_none
from worker.economic.keys import path_key
from worker.economic.listing import Listing
from worker.economic.paging import Page
from worker.errors import refused

T = TypeVar("T", bound=BaseModel)


class RecordCalls(Calls):
    """Read the records of a list."""

    def record_pages(
        self,
        listing: Listing[T],
        *,
        changed_since: datetime | None = None,
        start_page: int = 0,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[T], None]:
        """All records, or those changed since (the service keeps whole minutes: overlap a few); resumable by page."""
        return self._pages(listing, changed(changed_since), start_page, page_size, enough)

    async def get_record(self, listing: Listing[T], number: str) -> T:
        """One record by its number. Raises ``Refused`` (not found)."""
        one = listing.one
        if not number:
            raise refused(
                Cause.NOT_FOUND,
                f"A {one} without a number does not exist in e-conomic.",
                f"Check the number of the {one} in Pike.",
            )
        return await self._one(f"{listing.path}/{path_key(number)}", listing.model, f"{one} {number}", one)

    async def find_record(self, listing: Listing[T], number: str) -> T | None:
        """One record by its number, or ``None``."""
        return await or_none(self.get_record(listing, number))
