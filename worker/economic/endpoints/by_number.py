"""Many records by their numbers in few calls, for whoever knows what changed. An unreadable one harms no other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from schemas.customer import EconomicCustomerRow
from schemas.invoice import EconomicBooked
from schemas.product import EconomicProduct
from worker.economic import filters
from worker.economic.endpoints.booked import BOOKED
from worker.economic.endpoints.calls import PAGE_SIZE, Calls, parts
from worker.economic.listing import CUSTOMERS, PRODUCTS, Listing

T = TypeVar("T", bound=BaseModel)

MAX_EQUALS = 20
"""Product numbers that one filter compares; with 25 characters each it stays far below what an address may be long."""


@dataclass(frozen=True, slots=True)
class LookedUp(Generic[T]):
    """What was found, by number, and which numbers are there but cannot be read."""

    found: dict[str, T]
    unreadable: frozenset[str]

    def missing(self, numbers: Iterable[str]) -> list[str]:
        """Return those of the numbers that e-conomic does not have."""
        return [number for number in numbers if number not in self.found and number not in self.unreadable]


class ByNumberCalls(Calls):
    """Look records up by number."""

    async def look_up_products(self, numbers: Sequence[str]) -> LookedUp[EconomicProduct]:
        """Look products up, ``MAX_EQUALS`` a call: ``$in:`` matches nothing for texts on this surface."""
        wanted = list(dict.fromkeys(numbers))
        stretches = [wanted[start : start + MAX_EQUALS] for start in range(0, len(wanted), MAX_EQUALS)]
        asked = [
            (filters.either(*(filters.equals("productNumber", number) for number in stretch)), stretch)
            for stretch in stretches
        ]
        return await self._look_up(PRODUCTS, asked, lambda product: product.product_number)

    async def look_up_customers(self, numbers: Sequence[str]) -> LookedUp[EconomicCustomerRow]:
        """Look customers up, two hundred a call."""
        return await self._look_up(CUSTOMERS, _whole("customerNumber", numbers), lambda c: str(c.customer_number))

    async def look_up_booked(self, numbers: Sequence[str]) -> LookedUp[EconomicBooked]:
        """Look booked invoices up, without lines, two hundred a call."""
        return await self._look_up(BOOKED, _whole("bookedInvoiceNumber", numbers), lambda i: str(i.number))

    async def _look_up(
        self, listing: Listing[T], asked: Sequence[tuple[str, Sequence[str]]], number_of: Callable[[T], str]
    ) -> LookedUp[T]:
        found: dict[str, T] = {}
        unreadable: set[str] = set()
        for expression, numbers in asked:
            wanted = set(numbers)  # "equals" does not tell "a" from "A"
            async for page in self._each(listing, expression, 0, PAGE_SIZE, f"{listing.name} by number"):
                found.update((number_of(item), item) for item in page.items if number_of(item) in wanted)
                for reject in page.rejects:  # one without a number may be any of them
                    unreadable |= {reject.external_number} if reject.external_number else wanted
        return LookedUp(found, frozenset(unreadable - found.keys()))


def _whole(field: str, numbers: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    wanted = list(dict.fromkeys(int(number) for number in numbers))
    return [(filters.one_of(field, part), [str(number) for number in part]) for part in parts(wanted)]
