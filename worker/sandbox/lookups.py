"""The small registers of an agreement as plain, frozen data: VAT, terms, groups, currencies, accounts, years."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class VatZone:
    """1 domestic, 2 EU, 3 abroad, 4 domestic without VAT; names are localised."""

    number: int
    name: str
    for_customer: bool = True
    for_supplier: bool = True


@dataclass(frozen=True, slots=True)
class Terms:
    """Payment terms; ``days`` is absent for ``dueDate`` and ``prepaid``."""

    number: int
    name: str
    type: str
    days: int | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A numbered name: unit, layout, employee."""

    number: int
    name: str
    email: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class CustomerGroup:
    """Groups customers under a debtor account; the caller chooses the number."""

    number: int
    name: str
    account: int
    layout: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One line of the chart of accounts. ``vat_code`` names the VAT account that rules its rate."""

    number: int
    name: str
    type: str = "profitAndLoss"
    debit_credit: str = "credit"
    vat_code: str | None = None
    barred: bool = False


@dataclass(frozen=True, slots=True)
class VatAccount:
    """A VAT code with its rate in percent."""

    code: str
    name: str
    rate: Decimal
    account: int
    type: int = 1
    barred: bool = False


@dataclass(frozen=True, slots=True)
class ProductGroup:
    """Holds one sales account per VAT zone; a missing zone means: cannot be sold there."""

    number: int
    name: str
    accounts: dict[int, int]


@dataclass(frozen=True, slots=True)
class Currency:
    """``rate`` is the price in base currency of 100 units."""

    code: str
    name: str
    iso: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class AccountingYear:
    """``year`` is text: ``2026``, ``2026/2027``, with a letter possible."""

    year: str
    first: dt.date
    last: dt.date
    closed: bool = False
