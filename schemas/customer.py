"""A customer on both sides, and the contact that becomes Pike's primary contact (R15-R19)."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from schemas.base import EconomicIn, EconomicOut, Strict
from schemas.terms import CustomerGroupRef, LayoutRef, PaymentTermsRef, VatZoneRef


class ContactRef(EconomicIn):
    """Reference to a contact by its number within the customer."""

    customer_contact_number: int


class Contact(Protocol):
    """What Pike needs of a contact person, whichever list it comes from."""

    @property
    def customer_number(self) -> int:
        """Whose contact it is."""

    @property
    def customer_contact_number(self) -> int:
        """Number within the customer, which customers and invoices refer to."""

    @property
    def name(self) -> str:
        """Full name."""

    @property
    def email(self) -> str | None:
        """Address."""

    @property
    def sort_key(self) -> int | None:
        """Place among the customer's contacts."""

    @property
    def deleted(self) -> bool:
        """Whether it was deleted."""


class EconomicContact(EconomicIn):
    """A contact person in legacy REST, which numbers them per customer."""

    customer_number: int
    customer_contact_number: int
    name: str = ""
    email: str | None = None
    sort_key: int | None = None
    deleted: bool = False


class EconomicCustomerRow(EconomicIn):
    """``/customers``, as far as Pike's row is made of it: every text may be absent.

    ``email`` may hold several addresses, space separated. Imports read only this much: a hundred thousand of them pass.
    """

    customer_number: int
    name: str = ""
    currency: str | None = None
    email: str | None = None
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    corporate_identification_number: str | None = None
    vat_number: str | None = None
    barred: bool = False
    attention: ContactRef | None = None
    customer_contact: ContactRef | None = None


class EconomicCustomer(EconomicCustomerRow):
    """``/customers``, with what an invoice for the customer needs to know."""

    last_updated: datetime | None = None
    customer_group: CustomerGroupRef | None = None
    payment_terms: PaymentTermsRef | None = None
    vat_zone: VatZoneRef | None = None
    layout: LayoutRef | None = None


class EconomicCustomerOut(EconomicOut):
    """Body of ``POST /customers``; e-conomic chooses the number. Limits are the API's."""

    class Group(EconomicOut):
        """Reference by number."""

        customer_group_number: int

    class Terms(EconomicOut):
        """Reference by number; the type is left out, a differing one would be refused (E07180)."""

        payment_terms_number: int

    class Zone(EconomicOut):
        """Reference by number."""

        vat_zone_number: int

    name: str
    currency: str
    customer_group: Group
    payment_terms: Terms
    vat_zone: Zone
    email: str | None = None
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    corporate_identification_number: str | None = None


class PikeCustomer(Strict):
    """A row of ``pike.customers``, the columns that e-conomic rules."""

    external_number: str
    name: str
    primary_contact_first_name: str | None = None
    primary_contact_last_name: str | None = None
    primary_contact_full_name: str | None = None
    primary_contact_email: str | None = None
    primary_contact_address: str | None = None
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    vat_number: str | None = None
    currency: str | None = None
    barred: bool = False


class LocalCustomer(Strict):
    """A customer as Pike holds it, linked to e-conomic or not; what a pushed invoice needs to know."""

    id: UUID
    name: str
    external_number: str | None = None
    email: str | None = None
    vat_number: str | None = None
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    currency: str | None = None
