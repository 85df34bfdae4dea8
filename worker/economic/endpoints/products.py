"""Products, and the finance accounts of their groups. They are read, never written (R10)."""

from collections.abc import AsyncGenerator
from datetime import datetime

from schemas.problem import Cause
from schemas.product import EconomicProduct
from schemas.terms import GroupSalesAccount, ProductGroup, Unit
from worker.economic.endpoints.calls import PAGE_SIZE, Calls, Enough, Listing, changed, never, or_none
from worker.economic.keys import path_key
from worker.economic.paging import Page
from worker.errors import refused

PRODUCTS = Listing("/products", EconomicProduct, lambda p: p.product_number, "products", "productNumber")
GROUPS = Listing("/product-groups", ProductGroup, lambda g: g.product_group_number, "product groups")
UNITS = Listing("/units", Unit, lambda u: u.unit_number, "units")
_CHECK = "Check the number of the product in Pike."


class ProductCalls(Calls):
    """Read products, their groups and units."""

    def product_pages(
        self,
        *,
        changed_since: datetime | None = None,
        start_page: int = 0,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[EconomicProduct], None]:
        """All products, or those changed since (the service keeps whole minutes: overlap a few); resumable by page."""
        return self._pages(PRODUCTS, changed(changed_since), start_page, page_size, enough)

    async def get_product(self, number: str) -> EconomicProduct:
        """One product. Raises ``Refused`` (not found)."""
        if not number:
            raise refused(Cause.NOT_FOUND, "A product without a number does not exist in e-conomic.", _CHECK)
        return await self._one(f"/products/{path_key(number)}", EconomicProduct, f"product {number}", "product")

    async def find_product(self, number: str) -> EconomicProduct | None:
        """One product, or ``None``."""
        return await or_none(self.get_product(number))

    async def product_groups(self) -> list[ProductGroup]:
        """All product groups."""
        return await self._register(GROUPS)

    async def sales_accounts(self, group: int) -> list[GroupSalesAccount]:
        """The finance accounts of a product group, one per VAT zone."""
        path = f"/product-groups/{path_key(group)}/sales-accounts"
        listing = Listing(path, GroupSalesAccount, lambda row: row.vat_zone.vat_zone_number, "sales accounts")
        return await self._register(listing, what=f"sales accounts of product group {group}", every_row=True)

    async def units(self) -> list[Unit]:
        """All units."""
        return await self._register(UNITS)
