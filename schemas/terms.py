"""Look-ups that invoices and customers point at. They are read from e-conomic, never offered as entities (R4)."""

from datetime import datetime

from pydantic import Field

from schemas.base import EconomicIn
from schemas.values import Amount


class PaymentTermsRef(EconomicIn):
    """Reference to payment terms; 0 occurs on old booked invoices."""

    payment_terms_number: int
    payment_terms_type: str | None = None


class VatZoneRef(EconomicIn):
    """Reference to a VAT zone: 1 domestic, 2 EU, 3 abroad, 4 domestic without VAT, 8+ country specific."""

    vat_zone_number: int
    name: str | None = None


class LayoutRef(EconomicIn):
    """Reference to an invoice layout; deleted layouts are still pointed at by old invoices."""

    layout_number: int


class CustomerGroupRef(EconomicIn):
    """Reference to a customer group."""

    customer_group_number: int


class UnitRef(EconomicIn):
    """Reference to a unit; lists carry its name, lines may not."""

    unit_number: int
    name: str | None = None


class ProductGroupRef(EconomicIn):
    """Reference to a product group, which decides the finance account of its products."""

    product_group_number: int
    name: str | None = None


class PaymentTerms(EconomicIn):
    """``/payment-terms``. ``days_of_credit`` is missing for the types ``dueDate`` and ``prepaid``."""

    payment_terms_number: int
    name: str = ""
    payment_terms_type: str
    days_of_credit: int | None = None


class VatZone(EconomicIn):
    """``/vat-zones``."""

    vat_zone_number: int
    name: str = ""
    enabled_for_customer: bool = True


class Layout(EconomicIn):
    """``/layouts``."""

    layout_number: int
    name: str = ""
    deleted: bool = False


class Unit(EconomicIn):
    """``/units``."""

    unit_number: int
    name: str = ""


class CustomerGroup(EconomicIn):
    """``/customer-groups``."""

    customer_group_number: int
    name: str = ""


class ProductGroup(EconomicIn):
    """``/product-groups``."""

    product_group_number: int
    name: str = ""


class VatAccountRef(EconomicIn):
    """Reference to a VAT account by its code, e.g. ``U25``."""

    vat_code: str


class SalesAccount(EconomicIn):
    """Finance account that a product group uses in one VAT zone."""

    account_number: int
    name: str = ""
    barred: bool = False
    vat_account: VatAccountRef | None = None


class GroupSalesAccount(EconomicIn):
    """One row of ``/product-groups/{n}/sales-accounts``: the account for one VAT zone."""

    vat_zone: VatZoneRef
    sales_account: SalesAccount


class VatAccount(EconomicIn):
    """``/vat-accounts``: a VAT code and its rate in percent."""

    vat_code: str
    name: str = ""
    rate_percentage: Amount
    barred: bool = False


class AgreementSettings(EconomicIn):
    """Part of ``/self``: the currency of product prices and of every amount "in base currency"."""

    base_currency: str = ""


class Company(EconomicIn):
    """Part of ``/self``; bank details and the like are deliberately not read."""

    name: str = ""


class Self(EconomicIn):
    """``GET /self``: which agreement a grant belongs to."""

    agreement_number: int
    company: Company = Field(default_factory=Company)
    settings: AgreementSettings = Field(default_factory=AgreementSettings)
    signup_date: datetime | str | None = None
