"""Products, and the finance accounts of their groups. They are read, never written (R10)."""

from collections.abc import AsyncGenerator
from datetime import datetime

from schemas.product import EconomicProduct
from schemas.terms import GroupSalesAccount, ProductGroup, Unit
from worker.economic.endpoints.calls import PAGE_SIZE, Enough, never
from worker.economic.endpoints.records import RecordCalls
from worker.economic.keys import path_key
from worker.economic.listing import PRODUCTS, Listing
from worker.economic.paging import Page

GROUPS = Listing("/product-groups", ProductGroup, lambda g: g.product_group_number, "product groups")
UNITS = Listing("/units", Unit, lambda u: u.unit_number, "units")


class ProductCalls(RecordCalls):
    """Read products, their groups and units."""

    def product_pages(
        self,
        *,
        changed_since: datetime | None = None,
        start_page: int = 0,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[EconomicProduct], None]:
        """All products, or those changed since; see ``record_pages``."""
        return self.record_pages(
            PRODUCTS, changed_since=changed_since, start_page=start_page, page_size=page_size, enough=enough
        )

    async def find_product(self, number: str) -> EconomicProduct | None:
        """One product, or ``None``."""
        return await self.find_record(PRODUCTS, number)

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
