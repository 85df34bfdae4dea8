"""Small registers of e-conomic that mapping needs, read at most once per run: groups, accounts, VAT rates, products.

R4: they are look-ups, never entities of their own.
"""

import asyncio
from collections.abc import Iterable

from schemas.product import EconomicProduct
from schemas.terms import GroupSalesAccount, ProductGroup, VatAccount
from worker.economic.endpoints import EconomicApi
from worker.economic.sentences import unavailable
from worker.mapping.tax_rules import DOMESTIC, TaxRules


class Lookups:
    """Reads registers on demand and keeps them for one run. Serves mappings as ``worker.entities.Facts``."""

    def __init__(self, api: EconomicApi, base_currency: str) -> None:
        self.api = api
        self.base_currency = base_currency
        self._accounts: dict[int, list[GroupSalesAccount]] = {}
        self._vat: list[VatAccount] | None = None
        self._groups: list[ProductGroup] | None = None
        self._products: dict[str, EconomicProduct] | None = None
        self._units: dict[int, str] | None = None
        self._reading = asyncio.Lock()  # pages are prepared side by side and need the same registers

    async def finance_account(self, product: EconomicProduct) -> int | None:
        """Return the sales account of the product's group for domestic sales."""
        if product.product_group is None:
            return None
        for row in await self._sales_accounts(product.product_group.product_group_number):
            if row.vat_zone.vat_zone_number == DOMESTIC:
                return row.sales_account.account_number
        return None

    async def unit_names(self) -> dict[int, str]:
        """Return unit number → name."""
        async with self._reading:
            if self._units is None:
                self._units = {unit.unit_number: unit.name for unit in await self.api.units()}
        return self._units

    async def products(self, numbers: Iterable[str]) -> list[EconomicProduct]:
        """Return those of these products that e-conomic still has, one call each; for the few of one document."""
        found = await asyncio.gather(*(self.api.find_product(number) for number in sorted(set(numbers))))
        return [product for product in found if product is not None]

    async def all_products(self) -> dict[str, EconomicProduct]:
        """Return every product by number; one call per thousand."""
        async with self._reading:
            if self._products is None:
                self._products = await self._read_products()
        return self._products

    async def _read_products(self) -> dict[str, EconomicProduct]:
        found: dict[str, EconomicProduct] = {}
        met = 0
        async for page in self.api.product_pages():
            found.update({product.product_number: product for product in page.items})
            met += len(page.items) + len(page.rejects)
            if page.is_last and page.total is not None and met < page.total:
                # a short list would make products look deleted that are not
                raise unavailable(f"products: e-conomic announced {page.total}, {met} arrived")
        return found

    async def tax_rules(self, products: Iterable[EconomicProduct]) -> TaxRules:
        """Return the rules that give a draft line its VAT rate, for lines with these products."""
        known = list(products)
        groups = {product.product_group.product_group_number for product in known if product.product_group}
        accounts = {group: await self._sales_accounts(group) for group in sorted(groups)}
        return TaxRules.build(known, accounts, await self._vat_accounts())

    async def vat_codes_by_account(self) -> dict[int, str]:
        """Return finance account → VAT code, as far as product groups use it."""
        found: dict[int, str] = {}
        for group in await self._product_groups():
            for row in await self._sales_accounts(group.product_group_number):
                if row.sales_account.vat_account is not None:
                    found[row.sales_account.account_number] = row.sales_account.vat_account.vat_code
        return found

    async def _sales_accounts(self, group: int) -> list[GroupSalesAccount]:
        if group not in self._accounts:
            async with self._reading:
                if group not in self._accounts:
                    self._accounts[group] = list(await self.api.sales_accounts(group))
        return self._accounts[group]

    async def _product_groups(self) -> list[ProductGroup]:
        async with self._reading:
            if self._groups is None:
                self._groups = list(await self.api.product_groups())
        return self._groups

    async def _vat_accounts(self) -> list[VatAccount]:
        async with self._reading:
            if self._vat is None:
                self._vat = list(await self.api.vat_accounts())
        return self._vat
