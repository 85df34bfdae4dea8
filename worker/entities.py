"""What can be imported and refreshed: one entry per kind of record that is a list in e-conomic and a table in Pike.

Import, refresh, upsert, what vanished, the data report, the command line and the pages are driven from here, so that
a new kind is an entry and not a search through the code (deploy/docs/contributing.md). Customers have steps of their
own where contacts and matching come in; invoices are documents with lines in two series and have no entry at all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel

from schemas.base import Strict
from schemas.customer import EconomicCustomerRow, PikeCustomer
from schemas.kinds import LIST_OF, LISTED, Entity, ListedEntity
from schemas.product import EconomicProduct, PikeProduct
from worker.economic import listing
from worker.economic.listing import Listing
from worker.mapping import product
from worker.store import tables
from worker.store.tables import Table

E = TypeVar("E", bound=BaseModel)
P = TypeVar("P", bound=Strict)


class Facts(Protocol):
    """What a mapping may need beside the record: small registers of the agreement, read at most once per run."""

    base_currency: str

    async def unit_names(self) -> Mapping[int, str]:
        """Return unit number → name."""

    async def finance_account(self, product: EconomicProduct) -> int | None:
        """Return the sales account of the product's group for domestic sales."""


@dataclass(frozen=True, slots=True)
class EntityType(Generic[E, P]):
    """One kind of record: where it is listed, where its rows go, and how one becomes the other.

    ``to_pike`` maps the records of a page, or of a refresh, in their order; ``None`` where handlers have steps of
    their own. ``retires_own``: after a complete list, Pike's own records of this kind become inactive (R11); the table
    then has a column ``deactivated_by_import``.
    """

    listing: Listing[E]
    table: Table
    to_pike: Callable[[Sequence[E], Facts], Awaitable[list[P]]] | None = None
    retires_own: bool = False

    @property
    def kind(self) -> Entity:
        """One of them, as events and messages call it: ``product``."""
        return self.table.entity

    async def rows(self, records: Sequence[E], facts: Facts) -> list[P]:
        """Return Pike's rows of these records; to call it for a kind with steps of its own is a bug."""
        if self.to_pike is None:
            raise RuntimeError(f"{self.listing.name} have steps of their own")
        return await self.to_pike(records, facts)


def each(to_pike: Callable[[E], P]) -> Callable[[Sequence[E], Facts], Awaitable[list[P]]]:
    """Map record by record, for a mapping that needs nothing but the record."""

    async def mapped(records: Sequence[E], _facts: Facts) -> list[P]:
        return [to_pike(record) for record in records]

    return mapped


async def _products(records: Sequence[EconomicProduct], facts: Facts) -> list[PikeProduct]:
    units = await facts.unit_names() if records else {}
    return [
        product.to_pike(record, facts.base_currency, await facts.finance_account(record), units) for record in records
    ]


PRODUCTS: Final = EntityType(listing.PRODUCTS, tables.PRODUCTS, _products, retires_own=True)
CUSTOMERS: Final[EntityType[EconomicCustomerRow, PikeCustomer]] = EntityType(listing.CUSTOMERS, tables.CUSTOMERS)
"""Their steps are in ``handlers.importing.customers``."""

ENTITIES: Final[Mapping[ListedEntity, EntityType[Any, Any]]] = MappingProxyType(
    {
        "products": PRODUCTS,
        "customers": CUSTOMERS,
    }
)
"""Kind → its entry, in the order in which they are imported: what others point at comes first."""

if tuple(ENTITIES) != LISTED or any(LIST_OF[each.kind] != name for name, each in ENTITIES.items()):
    raise TypeError("worker.entities and schemas.kinds name different kinds, or in another order")
