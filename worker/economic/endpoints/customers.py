"""Customers and their contacts."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from schemas.base import EconomicIn
from schemas.customer import Contact, EconomicContact, EconomicCustomer, EconomicCustomerRow
from worker.economic import filters
from worker.economic.bulk import BulkContact
from worker.economic.endpoints.calls import PAGE_SIZE, Enough, changed, never, or_none, parts
from worker.economic.endpoints.records import RecordCalls
from worker.economic.keys import path_key
from worker.economic.listing import CUSTOMERS, Listing
from worker.economic.paging import Page

CUSTOMERS_API = "/customersapi/v3.1.0"
"""Versions are part of OpenAPI addresses; pinned to the one whose document the model was made from."""

_COUNTRY_LETTERS = 2
_DANISH_DIGITS = 8


class _LegacyContact(EconomicIn):
    customer_contact_number: int
    name: str = ""
    email: str | None = None
    sort_key: int | None = None
    deleted: bool = False


_COMPLETE = Listing("/customers", EconomicCustomer, lambda c: c.customer_number, "customers", "customerNumber")
CONTACTS = Listing(f"{CUSTOMERS_API}/Contacts", BulkContact, lambda c: c.number, "contacts")


class CustomerCalls(RecordCalls):
    """Read, search and create customers."""

    def customer_pages(
        self,
        *,
        changed_since: datetime | None = None,
        start_page: int = 0,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[EconomicCustomerRow], None]:
        """All customers, or those changed since; resumable by page."""
        return self.record_pages(
            CUSTOMERS, changed_since=changed_since, start_page=start_page, page_size=page_size, enough=enough
        )

    async def contact_pages(
        self, *, changed_since: datetime | None = None, cursor: str | None = None, expression: str | None = None
    ) -> AsyncGenerator[Page[BulkContact], None]:
        """Contacts of all customers, deleted ones included, a thousand a page; resumable by ``Page.cursor``."""
        number = 0
        expression = filters.both(expression, changed(changed_since))
        async for parsed, fetched_at in self._by_cursor(CONTACTS, expression, cursor):
            yield Page(
                items=parsed.items,
                rejects=parsed.rejects,
                number=number,
                total=None,
                is_last=not parsed.more,
                cursor=parsed.cursor,
                fetched_at=fetched_at,
            )
            number += 1

    async def contacts_between(self, first: int, last: int) -> list[Contact]:
        """Contacts of the customers with these numbers, both ends included. One that cannot be read is left out."""
        expression = filters.both(filters.at_least("customerNumber", first), filters.at_most("customerNumber", last))
        found: list[Contact] = []
        async for page in self.contact_pages(expression=expression):
            found.extend(contact for contact in page.items if first <= contact.customer_number <= last)
        return found

    async def contacts_of(self, numbers: Sequence[int]) -> list[Contact]:
        """Contacts of these customers, two hundred customers a call. One that cannot be read is left out."""
        wanted = set(numbers)
        found: list[Contact] = []
        for part in parts(list(dict.fromkeys(numbers))):
            async for page in self.contact_pages(expression=filters.one_of("customerNumber", part)):
                found.extend(contact for contact in page.items if contact.customer_number in wanted)
        return found

    async def list_contacts(self, customer_number: int) -> list[EconomicContact]:
        """Contacts of one customer."""
        path = f"/customers/{path_key(customer_number)}/contacts"
        listing = Listing(path, _LegacyContact, lambda c: c.customer_contact_number, "contacts of a customer")
        found = await self._register(listing, what=f"contacts of customer {customer_number}")
        return [EconomicContact(customer_number=customer_number, **contact.model_dump()) for contact in found]

    async def get_customer(self, number: int) -> EconomicCustomer:
        """One customer. Raises ``Refused`` (not found)."""
        return await self._one(f"/customers/{path_key(number)}", EconomicCustomer, f"customer {number}", "customer")

    async def find_customer(self, number: int) -> EconomicCustomer | None:
        """One customer, or ``None``."""
        return await or_none(self.get_customer(number))

    async def customers_by_number(self, numbers: Sequence[int]) -> list[EconomicCustomer]:
        """Those of these customers that exist, two hundred a call."""
        wanted = set(numbers)
        found: list[EconomicCustomer] = []
        for part in parts(list(dict.fromkeys(numbers))):
            found += await self._all(_COMPLETE, filters.one_of("customerNumber", part))
        return [customer for customer in found if customer.customer_number in wanted]

    async def search_customers(
        self, *, vat_number: str | None = None, email: str | None = None, name: str | None = None
    ) -> list[EconomicCustomer]:
        """Customers by exactly one of the three, compared as a whole and without regard to case.

        A VAT number is looked for in both fields that may hold one, in the spellings that people use (``DK12345678``,
        ``12 34 56 78``): the fields are free text, so callers compare it normalised. An e-mail address is found among
        several in the field. Raises ValueError unless exactly one is given; nothing but spaces finds nothing.
        """
        given = [value for value in (vat_number, email, name) if value is not None]
        if len(given) != 1:
            raise ValueError("search by exactly one of VAT number, e-mail and name")
        text = given[0].strip()
        if not text:
            return []
        if vat_number is not None:
            forms = _vat_forms(text)
            expressions = [filters.equals("corporateIdentificationNumber", form) for form in forms]
            expressions += [filters.equals("vatNumber", form) for form in forms]
            return await self._all(_COMPLETE, filters.either(*expressions), what="customers with a VAT number")
        if email is not None:
            found = await self._all(_COMPLETE, filters.contains("email", text), what="customers with an e-mail address")
            return [customer for customer in found if text.casefold() in (customer.email or "").casefold().split()]
        found = await self._all(_COMPLETE, filters.equals("name", text), what="customers with a name")
        return [customer for customer in found if customer.name.strip().casefold() == text.casefold()]

    async def create_customer(self, body: bytes, idempotency_key: str) -> EconomicCustomer:
        """Create a customer; e-conomic chooses the number. Raises ``OutcomeUnknown`` when the answer was lost."""
        return await self._write(
            "/customers", body, idempotency_key, EconomicCustomer, "creating the customer", "customer"
        )


def _vat_forms(vat_number: str) -> list[str]:
    """Return the spellings to look for: as given, then those that people use for the same number.

    The service compares whole texts, so ``DK 12345678`` is not found by ``12345678``; a customer that is missed for a
    blank would be created a second time.
    """
    plain = "".join(character for character in vat_number.upper() if character.isalnum())
    letters, digits = _split(plain)
    forms = [vat_number.strip(), plain]
    if digits:
        country = letters if len(letters) == _COUNTRY_LETTERS else "DK"
        grouped = " ".join(digits[start : start + 2] for start in range(0, len(digits), 2))
        forms += [digits, f"{country}{digits}", f"{country} {digits}", f"{country}-{digits}"]
        forms += [grouped, f"{country} {grouped}"] if len(digits) == _DANISH_DIGITS else []
    return [form for form in dict.fromkeys(forms) if form]


def _split(plain: str) -> tuple[str, str]:
    """Return the letters before a number (``DK``, ``CVR``) and its digits, none when it has letters elsewhere."""
    digits = plain.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return (plain[: len(plain) - len(digits)], digits) if digits.isascii() and digits.isdigit() else ("", "")
