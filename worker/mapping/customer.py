"""Customers between the two sides, with the contact that becomes Pike's primary contact (R15-R19)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.customer import Contact, EconomicCustomerOut, EconomicCustomerRow, LocalCustomer, PikeCustomer
from schemas.problem import Cause
from worker.mapping import texts
from worker.mapping.checks import Findings

_VAT_PREFIX = re.compile(r"(?:CVR(?:NR|NUMMER)?)?(?:DK)?(?=\d+\Z)")
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")

_LIMITS = {
    "name": ("The customer's name", 255),
    "email": ("The e-mail address", 255),
    "address": ("The address", 510),
    "zip": ("The postal code", 30),
    "city": ("The city", 50),
    "country": ("The country", 50),
    "vat_number": ("The VAT number", 40),
}
"""Characters that e-conomic takes in ``POST /customers`` (published JSON schema, restapi.e-conomic.com/schema)."""


@dataclass(frozen=True, slots=True)
class CustomerDefaults:
    """What e-conomic requires of a new customer and Pike does not know; chosen per connection."""

    customer_group_number: int
    payment_terms_number: int
    vat_zone_number: int
    currency: str


def to_pike(customer: EconomicCustomerRow, contacts: Sequence[Contact] = ()) -> PikeCustomer:
    """Return Pike's row. ``contacts`` may hold other customers' contacts and deleted ones; they are passed over."""
    contact = primary_contact(customer, contacts)
    full_name = texts.line(contact.name) if contact else None
    first, last = split_name(full_name or "")
    address = texts.block(customer.address)
    return PikeCustomer(
        external_number=str(customer.customer_number),
        name=texts.line(customer.name) or f"Customer {customer.customer_number}",
        primary_contact_first_name=first,
        primary_contact_last_name=last,
        primary_contact_full_name=full_name,
        primary_contact_email=_email(customer, contact),
        primary_contact_address=address,
        address=address,
        zip=texts.line(customer.zip),
        city=texts.line(customer.city),
        country=texts.line(customer.country),
        vat_number=texts.line(customer.vat_number) or texts.line(customer.corporate_identification_number),
        currency=texts.line(customer.currency),
        barred=customer.barred,
    )


def to_economic(local: LocalCustomer, defaults: CustomerDefaults) -> EconomicCustomerOut:
    """Return the body that creates the customer. Raises ``Refused`` for a missing name or a text that is too long."""
    values = {
        "name": texts.line(local.name),
        "email": texts.line(local.email),
        "address": texts.block(local.address),
        "zip": texts.line(local.zip),
        "city": texts.line(local.city),
        "country": texts.line(local.country),
        "vat_number": texts.line(local.vat_number),
    }
    findings = Findings()
    if values["name"] is None:
        findings.add(
            Cause.CUSTOMER_INCOMPLETE, "The customer has no name.", "Give the customer a name.", "customer.name"
        )
    for name, (label, limit) in _LIMITS.items():
        findings.check_length(values[name], limit, label, f"customer.{name}")
    findings.raise_if_any()
    return EconomicCustomerOut(
        name=values["name"] or "",
        currency=local.currency or defaults.currency,
        customer_group=EconomicCustomerOut.Group(customer_group_number=defaults.customer_group_number),
        payment_terms=EconomicCustomerOut.Terms(payment_terms_number=defaults.payment_terms_number),
        vat_zone=EconomicCustomerOut.Zone(vat_zone_number=defaults.vat_zone_number),
        email=values["email"],
        address=values["address"],
        zip=values["zip"],
        city=values["city"],
        country=values["country"],
        corporate_identification_number=values["vat_number"],
    )


def primary_contact(customer: EconomicCustomerRow, contacts: Sequence[Contact]) -> Contact | None:
    """Return the customer's own contact, else its attention person, else its first contact (R17)."""
    if not contacts:
        return None
    own = {
        contact.customer_contact_number: contact
        for contact in contacts
        if contact.customer_number == customer.customer_number and not contact.deleted
    }
    for reference in (customer.customer_contact, customer.attention):
        if reference is not None and reference.customer_contact_number in own:
            return own[reference.customer_contact_number]
    return min(own.values(), key=_contact_order, default=None)


def split_name(full_name: str) -> tuple[str | None, str | None]:
    """Split on the last space into first and last name; one word is a first name (R17)."""
    first, _, last = full_name.strip().rpartition(" ")
    if not first:
        return (last or None), None
    return first.rstrip(), last


def normalise_vat(text: str | None) -> str:
    """Return a VAT number for comparing: capitals and digits only, without ``DK`` or ``CVR`` before a Danish number.

    ``DK-12 34 56 78``, ``CVR-nr. 12345678`` and ``12345678`` are the same company; ``""`` means there is none.
    """
    plain = _NOT_ALPHANUMERIC.sub("", text or "").upper()
    number = _VAT_PREFIX.sub("", plain, count=1)
    return number if number.strip("0") else ""


def _contact_order(contact: Contact) -> tuple[bool, int, int]:
    return contact.sort_key is None, contact.sort_key or 0, contact.customer_contact_number


def _email(customer: EconomicCustomerRow, contact: Contact | None) -> str | None:
    """The customer's first address, else the contact's (R18); a text that is no address is better than nothing."""
    return (
        texts.first_address(customer.email)
        or texts.first_address(contact.email if contact else None)
        or texts.line(customer.email)
    )
