"""A list of the service as data: where it is, what its records are, and what tells them apart. No call is made here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from schemas.customer import EconomicCustomerRow
from schemas.product import EconomicProduct

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One list.

    ``name`` says what it holds and is the label of its calls in logs, ``one`` the same of a single record. ``sort`` is
    the key's property, for lists that are read page by page. ``dated``: its records tell when they were last changed
    (``lastUpdated``) and can be filtered by it; of others, an import of changes reads everything.
    """

    path: str
    model: type[T]
    key: Callable[[T], object]
    name: str
    sort: str | None = None
    one: str = ""
    dated: bool = True


PRODUCTS = Listing(
    "/products", EconomicProduct, lambda p: p.product_number, "products", sort="productNumber", one="product"
)
CUSTOMERS = Listing(
    "/customers", EconomicCustomerRow, lambda c: c.customer_number, "customers", sort="customerNumber", one="customer"
)
