"""A product on both sides (R10-R14)."""

from datetime import datetime

from schemas.base import EconomicIn, Strict
from schemas.terms import ProductGroupRef, UnitRef
from schemas.values import Amount, ProductNumber


class EconomicProduct(EconomicIn):
    """``/products``: the number is a text of at most 25 characters; prices are in the base currency."""

    product_number: ProductNumber
    name: str = ""
    description: str | None = None
    sales_price: Amount | None = None
    barred: bool = False
    last_updated: datetime | None = None
    product_group: ProductGroupRef | None = None
    unit: UnitRef | None = None


class PikeProduct(Strict):
    """A row of ``pike.products``, the columns that e-conomic rules."""

    external_number: str
    name: str
    sku: str
    description: str | None = None
    unit: str | None = None
    price: Amount | None = None
    currency: str | None = None
    finance_account: int | None = None
    barred: bool = False
