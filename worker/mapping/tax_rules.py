"""Which finance account and VAT rate e-conomic uses for a product in a VAT zone (R14, R27).

A product belongs to one group; the group has one sales account per VAT zone; the account may carry a VAT code,
which names a rate. Draft lines state no rate themselves (restapi.e-conomic.com, invoices.drafts schema).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Self

from schemas.invoice import PikeTaxRate
from schemas.product import EconomicProduct
from schemas.terms import GroupSalesAccount, SalesAccount, VatAccount

DOMESTIC = 1
"""VAT zone that every group has an account for; it gives the account shown at the product."""


@dataclass(frozen=True, slots=True)
class TaxRules:
    """The registers of one agreement, indexed. Empty rules know nothing and answer ``None``."""

    groups: Mapping[str, int]
    accounts: Mapping[tuple[int, int], SalesAccount]
    rates: Mapping[str, Decimal]

    @classmethod
    def build(
        cls,
        products: Iterable[EconomicProduct],
        sales_accounts: Mapping[int, Sequence[GroupSalesAccount]],
        vat_accounts: Iterable[VatAccount],
    ) -> Self:
        """Index products, each group's sales accounts, and VAT accounts."""
        return cls(
            groups={p.product_number: p.product_group.product_group_number for p in products if p.product_group},
            accounts={
                (group, row.vat_zone.vat_zone_number): row.sales_account
                for group, rows in sales_accounts.items()
                for row in rows
            },
            rates={account.vat_code: account.rate_percentage for account in vat_accounts},
        )

    @classmethod
    def empty(cls) -> Self:
        """Rules of an agreement whose registers were not read."""
        return cls({}, {}, {})

    def finance_account_for(self, product_number: str | None, zone: int | None = DOMESTIC) -> int | None:
        """Return the sales account of the product in that VAT zone, ``None`` when the group has none there."""
        account = self._account(product_number, zone)
        return account.account_number if account else None

    def tax_rate_for(self, product_number: str | None, zone: int | None) -> PikeTaxRate | None:
        """Return the rate of a draft line; 0 % without a VAT code, ``None`` when product or zone is not known."""
        if product_number is None or zone is None or product_number not in self.groups:
            return None
        account = self._account(product_number, zone)
        code = account.vat_account.vat_code if account and account.vat_account else None
        return tax_rate(self.rates.get(code, Decimal(0)) if code else Decimal(0), code)

    def codes_by_account(self) -> dict[int, str]:
        """Return the VAT code of each sales account that carries one; booked lines name their account."""
        return {
            account.account_number: account.vat_account.vat_code
            for account in self.accounts.values()
            if account.vat_account
        }

    def _account(self, product_number: str | None, zone: int | None) -> SalesAccount | None:
        if product_number is None or zone is None:
            return None
        group = self.groups.get(product_number)
        return None if group is None else self.accounts.get((group, zone))


@lru_cache(maxsize=256)
def tax_rate(rate: Decimal, vat_code: str | None = None) -> PikeTaxRate:
    """Return a tax rate named after its figure: ``25 %``, ``12.5 %``."""
    plain = format(rate.normalize(), "f") if rate else "0"
    return PikeTaxRate(name=f"{plain} %", rate=Decimal(plain), vat_code=vat_code)
