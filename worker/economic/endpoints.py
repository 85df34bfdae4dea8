"""The calls we make, in business words. Legacy REST throughout, but for what only the OpenAPI services give in bulk:
contacts of all customers and lines of many invoices.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, Field, SecretStr

from schemas.base import EconomicIn
from schemas.customer import EconomicContact, EconomicCustomer
from schemas.invoice import BookedTotals, EconomicBooked, EconomicDraft, EconomicLine, ProductRef
from schemas.problem import Cause
from schemas.product import EconomicProduct
from schemas.terms import (
    CustomerGroup,
    GroupSalesAccount,
    Layout,
    PaymentTerms,
    ProductGroup,
    Self,
    Unit,
    VatAccount,
    VatZone,
)
from schemas.values import Amount
from worker.economic import filters
from worker.economic.client import Call, EconomicClient
from worker.economic.keys import path_key
from worker.economic.limiter import Usage
from worker.economic.paging import Page, Parsed, parse_cursor, parse_legacy, parse_one
from worker.economic.responses import outcome_unknown_problem, unavailable
from worker.errors import OutcomeUnknown, Refused, Unavailable

T = TypeVar("T", bound=BaseModel)

PAGE_SIZE = 1000
"""Records of a legacy page; the service refuses more (E04810)."""

CUSTOMERS_API = "/customersapi/v3.1.0"
Q2C_API = "/q2capi/v5.3.0"
"""Versions are part of OpenAPI addresses; pinned to those whose documents the models were made from."""

Lines = dict[int, tuple[EconomicLine, ...]]


class _BulkLine(EconomicIn):
    """A line of the OpenAPI lists: flat names, its invoice's number beside it."""

    document_id: int = 0
    draft_invoice_number: int = 0
    number: int = 0
    user_interface_number: int | None = None
    product_number: str | None = None
    description: str | None = None
    quantity: Amount | None = None
    unit_net_price: Amount | None = None
    discount_percentage: Amount | None = None
    total_net_amount: Amount | None = None
    unit_number: int | None = None
    booked_account: int | None = None
    vat_rate: Amount | None = None
    vat_amount: Amount | None = None

    def to_line(self) -> EconomicLine:
        """Return it in the shape of the legacy documents."""
        return EconomicLine.model_construct(
            line_number=self.user_interface_number or self.number,
            sort_key=self.number,
            description=self.description,
            quantity=self.quantity,
            unit_net_price=self.unit_net_price,
            discount_percentage=self.discount_percentage,
            total_net_amount=self.total_net_amount,
            vat_rate=self.vat_rate,
            vat_amount=self.vat_amount,
            product=_product_ref(self.product_number),
            unit=None,
            booked_account=self.booked_account,
        )


def _product_ref(number: str | None) -> ProductRef | None:
    return ProductRef.model_construct(product_number=number) if number else None


class _BulkContact(EconomicIn):
    """A contact of the OpenAPI list; ``userInterfaceNumber`` is the per-customer number of the legacy documents."""

    customer_number: int
    customer_contact_number: int = Field(validation_alias=AliasChoices("userInterfaceNumber", "number"))
    name: str = ""
    email: str | None = None
    is_deleted: bool = False

    def to_contact(self) -> EconomicContact:
        """Return it in the shape of the legacy documents."""
        return EconomicContact.model_construct(
            customer_number=self.customer_number,
            customer_contact_number=self.customer_contact_number,
            name=self.name,
            email=self.email,
            sort_key=None,
            deleted=self.is_deleted,
        )


class _LegacyContact(EconomicIn):
    customer_contact_number: int
    name: str = ""
    email: str | None = None
    sort_key: int | None = None
    deleted: bool = False


class EconomicApi:
    """One agreement's calls. Errors are those of ``worker.errors``; ``find_…`` returns ``None`` where nothing is."""

    def __init__(self, client: EconomicClient, grant_token: SecretStr, agreement_number: int | None) -> None:
        self._client = client
        self._grant = grant_token
        self.agreement_number = agreement_number
        self.usage = Usage()

    def __repr__(self) -> str:
        return f"EconomicApi(agreement_number={self.agreement_number})"

    # --- whole lists, page by page -----------------------------------------------------------------------

    def customer_pages(
        self, *, changed_since: datetime | None = None, start_page: int = 0, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page[EconomicCustomer], None]:
        """All customers in the order of their numbers, or those changed since; resumable by page."""
        return self._pages(
            "/customers", EconomicCustomer, lambda c: c.customer_number, "customers", "customerNumber",
            _changed(changed_since), start_page, page_size,
        )  # fmt: skip

    def product_pages(
        self, *, changed_since: datetime | None = None, start_page: int = 0, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page[EconomicProduct], None]:
        """All products in the order of their numbers, or those changed since (to the minute)."""
        return self._pages(
            "/products", EconomicProduct, lambda p: p.product_number, "products", "productNumber",
            _changed(changed_since), start_page, page_size,
        )  # fmt: skip

    def draft_pages(
        self, *, changed_since: datetime | None = None, start_page: int = 0, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page[EconomicDraft], None]:
        """All drafts in the order of their numbers, without lines."""
        return self._pages(
            "/invoices/drafts", EconomicDraft, lambda d: d.number, "draft invoices", "draftInvoiceNumber",
            _changed(changed_since), start_page, page_size,
        )  # fmt: skip

    def unpaid_pages(
        self, *, start_page: int = 0, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page[EconomicBooked], None]:
        """Booked invoices with a rest to pay, without lines."""
        return self._pages(
            "/invoices/unpaid", EconomicBooked, lambda b: b.number, "unpaid invoices", "bookedInvoiceNumber",
            None, start_page, page_size,
        )  # fmt: skip

    async def booked_pages(
        self, *, after_number: int = 0, date_from: date | None = None, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page[EconomicBooked], None]:
        """Booked invoices above a number, without lines. By key, not by offset: nothing shifts while people book."""
        number = 0
        while True:
            expression = filters.both(
                filters.more_than("bookedInvoiceNumber", after_number) if after_number else None,
                filters.at_least("date", date_from) if date_from else None,
            )
            query = {"pagesize": str(page_size), "sort": "bookedInvoiceNumber"}
            if expression:
                query["filter"] = expression
            page = await self._legacy_page(
                "/invoices/booked", query, EconomicBooked, lambda b: b.number, "booked invoices", number
            )
            yield page
            if page.is_last:
                return
            after_number = max([after_number, *(item.number for item in page.items), *_numbers(page)])
            number += 1

    async def contact_pages(
        self, *, changed_since: datetime | None = None, cursor: str | None = None, expression: str | None = None
    ) -> AsyncGenerator[Page[EconomicContact], None]:
        """Contacts of all customers (OpenAPI), a thousand a page."""
        number = 0
        expression = filters.both(expression, _changed(changed_since))
        while True:
            fetched_at = self._client.clock.now()
            parsed = await self._cursor_page(
                f"{CUSTOMERS_API}/Contacts", expression, cursor, _BulkContact,
                lambda c: (c.customer_number, c.customer_contact_number), "contacts",
            )  # fmt: skip
            cursor = parsed.cursor
            yield Page(
                tuple(contact.to_contact() for contact in parsed.items),
                parsed.rejects, number, None, cursor is None, cursor, fetched_at,
            )  # fmt: skip
            if cursor is None:
                return
            number += 1

    async def contacts_between(self, first: int, last: int) -> list[EconomicContact]:
        """Contacts of the customers with these numbers, both ends included."""
        expression = filters.both(filters.at_least("customerNumber", first), filters.at_most("customerNumber", last))
        found: list[EconomicContact] = []
        async for page in self.contact_pages(expression=expression):
            found.extend(page.items)
        return found

    async def booked_lines(self, first_number: int, last_number: int) -> Lines:
        """Lines of all booked invoices from one number to another: one call per thousand lines."""
        expression = filters.both(
            filters.at_least("documentId", first_number), filters.at_most("documentId", last_number)
        )
        return await self._lines("booked", expression, lambda line: line.document_id)

    async def booked_lines_of(self, numbers: Sequence[int]) -> Lines:
        """Lines of these booked invoices."""
        found: Lines = {}
        for part in _parts(numbers):
            expression = filters.one_of("documentId", part)
            found.update(await self._lines("booked", expression, lambda line: line.document_id))
        return found

    async def draft_lines_of(self, numbers: Sequence[int]) -> Lines:
        """Lines of these drafts, by draft number (the bulk list's own ids are other numbers)."""
        found: Lines = {}
        for part in _parts(numbers):
            expression = filters.one_of("draftInvoiceNumber", part)
            found.update(await self._lines("drafts", expression, lambda line: line.draft_invoice_number))
        return found

    # --- single documents --------------------------------------------------------------------------------

    async def get_self(self) -> Self:
        """Which agreement the grant belongs to; the cheapest proof that it still works."""
        return await self._one("/self", Self, "the agreement", "self")

    async def get_customer(self, number: int) -> EconomicCustomer:
        """One customer. Raises ``Refused`` (not found)."""
        return await self._one(f"/customers/{path_key(number)}", EconomicCustomer, f"customer {number}", "customer")

    async def find_customer(self, number: int) -> EconomicCustomer | None:
        """One customer, or ``None`` when e-conomic has none with this number."""
        return await _or_none(self.get_customer(number))

    async def customers_by_number(self, numbers: Sequence[int]) -> list[EconomicCustomer]:
        """Those of these customers that exist, two hundred a call."""
        found: list[EconomicCustomer] = []
        for part in _parts(numbers):
            found += await self._filtered(
                "/customers", filters.one_of("customerNumber", part), EconomicCustomer,
                lambda c: c.customer_number, "customers",
            )  # fmt: skip
        return found

    async def search_customers(
        self, *, vat_number: str | None = None, email: str | None = None, name: str | None = None
    ) -> list[EconomicCustomer]:
        """Customers by exactly one of the three. A VAT number is looked for with and without its country prefix.

        The number is free text in e-conomic (``DK12345678``, ``12 34 56 78``): callers compare it normalised.
        """
        expressions: list[str] = []
        if vat_number is not None:
            for form in _vat_forms(vat_number):
                expressions.append(filters.equals("corporateIdentificationNumber", form))
                expressions.append(filters.equals("vatNumber", form))
        elif email is not None:
            expressions.append(f"email$like:{filters.text(email)}")
        elif name is not None:
            expressions.append(filters.equals("name", name))
        if not expressions:
            return []
        return await self._filtered(
            "/customers", "$or:".join(expressions), EconomicCustomer, lambda c: c.customer_number, "customers alike"
        )

    async def list_contacts(self, customer_number: int) -> list[EconomicContact]:
        """Contacts of one customer."""
        found = await self._filtered(
            f"/customers/{path_key(customer_number)}/contacts", None, _LegacyContact,
            lambda c: c.customer_contact_number, f"contacts of customer {customer_number}",
        )  # fmt: skip
        return [
            EconomicContact(customer_number=customer_number, **contact.model_dump(by_alias=False)) for contact in found
        ]

    async def get_product(self, number: str) -> EconomicProduct:
        """One product. Raises ``Refused`` (not found)."""
        return await self._one(f"/products/{path_key(number)}", EconomicProduct, f"product {number}", "product")

    async def find_product(self, number: str) -> EconomicProduct | None:
        """One product, or ``None``."""
        return await _or_none(self.get_product(number))

    async def get_draft(self, number: int) -> EconomicDraft:
        """One draft with its lines. Raises ``Refused`` (not found)."""
        return await self._one(f"/invoices/drafts/{number}", EconomicDraft, f"draft {number}", "draft")

    async def find_draft(self, number: int) -> EconomicDraft | None:
        """One draft with its lines, or ``None``."""
        return await _or_none(self.get_draft(number))

    async def get_booked(self, number: int) -> EconomicBooked:
        """One booked invoice with its lines. Raises ``Refused`` (not found)."""
        return await self._one(f"/invoices/booked/{number}", EconomicBooked, f"invoice {number}", "booked")

    async def find_booked(self, number: int) -> EconomicBooked | None:
        """One booked invoice with its lines, or ``None``."""
        return await _or_none(self.get_booked(number))

    async def find_drafts_by_reference(self, reference: str) -> list[EconomicDraft]:
        """Drafts whose ``references.other`` is exactly this, without lines."""
        found = await self._filtered(
            "/invoices/drafts", filters.equals("references.other", reference), EconomicDraft,
            lambda d: d.number, "drafts by reference",
        )  # fmt: skip
        return [draft for draft in found if draft.references.other == reference]

    async def find_booked_by_reference(self, reference: str) -> list[EconomicBooked]:
        """Booked invoices whose ``references.other`` is exactly this, without lines."""
        found = await self._filtered(
            "/invoices/booked", filters.equals("references.other", reference), EconomicBooked,
            lambda b: b.number, "invoices by reference",
        )  # fmt: skip
        return [invoice for invoice in found if invoice.references.other == reference]

    async def booked_totals(self) -> BookedTotals:
        """e-conomic's own count and net sum of all booked invoices, in the base currency."""
        return await self._one("/invoices/totals/booked", BookedTotals, "the totals of booked invoices", "totals")

    # --- writes: the caller has stored body and key before ------------------------------------------------

    async def create_customer(self, body: bytes, idempotency_key: str) -> EconomicCustomer:
        """Create a customer; e-conomic chooses the number."""
        return await self._write(
            "/customers", body, idempotency_key, EconomicCustomer, "creating the customer", "customer"
        )

    async def create_draft(self, body: bytes, idempotency_key: str) -> EconomicDraft:
        """Create a draft with its lines, in one atomic request."""
        return await self._write(
            "/invoices/drafts", body, idempotency_key, EconomicDraft, "creating the draft", "draft"
        )

    async def book_draft(self, body: bytes, idempotency_key: str) -> EconomicBooked:
        """Book a draft. Cannot be undone."""
        return await self._write(
            "/invoices/booked", body, idempotency_key, EconomicBooked, "booking the draft", "booked"
        )

    # --- small registers ------------------------------------------------------------------------------------

    async def payment_terms(self) -> list[PaymentTerms]:
        """All payment terms."""
        return await self._filtered(
            "/payment-terms", None, PaymentTerms, lambda t: t.payment_terms_number, "payment terms"
        )

    async def vat_zones(self) -> list[VatZone]:
        """All VAT zones."""
        return await self._filtered("/vat-zones", None, VatZone, lambda z: z.vat_zone_number, "VAT zones")

    async def vat_accounts(self) -> list[VatAccount]:
        """All VAT codes with their rates."""
        return await self._filtered("/vat-accounts", None, VatAccount, lambda v: v.vat_code, "VAT accounts")

    async def product_groups(self) -> list[ProductGroup]:
        """All product groups."""
        return await self._filtered(
            "/product-groups", None, ProductGroup, lambda g: g.product_group_number, "product groups"
        )

    async def sales_accounts(self, group: int) -> list[GroupSalesAccount]:
        """The finance accounts of a product group, one per VAT zone."""
        return await self._filtered(
            f"/product-groups/{path_key(group)}/sales-accounts", None, GroupSalesAccount,
            lambda row: row.vat_zone.vat_zone_number, f"sales accounts of product group {group}",
        )  # fmt: skip

    async def units(self) -> list[Unit]:
        """All units."""
        return await self._filtered("/units", None, Unit, lambda u: u.unit_number, "units")

    async def layouts(self) -> list[Layout]:
        """All layouts that are not deleted."""
        return await self._filtered("/layouts", None, Layout, lambda layout: layout.layout_number, "layouts")

    async def customer_groups(self) -> list[CustomerGroup]:
        """All customer groups."""
        return await self._filtered(
            "/customer-groups", None, CustomerGroup, lambda g: g.customer_group_number, "customer groups"
        )

    # --- inside ---------------------------------------------------------------------------------------------

    async def _one(self, path: str, model: type[T], what: str, family: str) -> T:
        call = Call("GET", "legacy", path, what, family)
        return parse_one(await self._client.request(call, self._grant, self.usage), model, what)

    async def _write(self, path: str, body: bytes, key: str, model: type[T], what: str, family: str) -> T:
        call = Call("POST", "legacy", path, what, family, body=body, idempotency_key=key)
        answer = await self._client.request(call, self._grant, self.usage)
        try:
            return parse_one(answer, model, what)
        except Unavailable as exc:  # it was made, but the answer does not say what: look it up
            raise OutcomeUnknown(outcome_unknown_problem(), str(exc)) from exc

    async def _legacy_page(
        self, path: str, query: Mapping[str, str], model: type[T], key: Callable[[T], object], what: str, number: int
    ) -> Page[T]:
        fetched_at = self._client.clock.now()
        call = Call("GET", "legacy", path, what, what, query=query)
        parsed = parse_legacy(await self._client.request(call, self._grant, self.usage), model, key, what)
        return Page(parsed.items, parsed.rejects, number, parsed.total, not parsed.more, None, fetched_at)

    async def _pages(
        self,
        path: str,
        model: type[T],
        key: Callable[[T], object],
        what: str,
        sort: str,
        expression: str | None,
        start_page: int,
        page_size: int,
    ) -> AsyncGenerator[Page[T], None]:
        number = start_page
        while True:
            query = {"pagesize": str(page_size), "skippages": str(number), "sort": sort}
            if expression:
                query["filter"] = expression
            page = await self._legacy_page(path, query, model, key, what, number)
            if not page.is_last and not page.items and not page.rejects:
                raise unavailable(f"{what}: page {number} is empty although e-conomic announces more")
            yield page
            if page.is_last:
                return
            number += 1

    async def _filtered(
        self, path: str, expression: str | None, model: type[T], key: Callable[[T], object], what: str
    ) -> list[T]:
        """Read a short list to its end. A record that cannot be read fails it: nothing may be decided on a part."""
        found: list[T] = []
        query = {"pagesize": str(PAGE_SIZE), "skippages": "0"}
        if expression:
            query["filter"] = expression
        while True:
            page = await self._legacy_page(path, query, model, key, what, int(query["skippages"]))
            if page.rejects:
                raise unavailable(f"{what}: a record cannot be read: {page.rejects[0].reason}")
            found += page.items
            if page.is_last:
                return found
            query["skippages"] = str(int(query["skippages"]) + 1)

    async def _cursor_page(
        self,
        path: str,
        expression: str | None,
        cursor: str | None,
        model: type[T],
        key: Callable[[T], object],
        what: str,
    ) -> Parsed[T]:
        query = {name: value for name, value in (("filter", expression), ("cursor", cursor)) if value}
        call = Call("GET", "openapi", path, what, what, query=query)
        return parse_cursor(await self._client.request(call, self._grant, self.usage), model, key, what)

    async def _lines(self, kind: str, expression: str | None, owner: Callable[[_BulkLine], int]) -> Lines:
        found: dict[int, list[_BulkLine]] = {}
        cursor: str | None = None
        while True:
            parsed = await self._cursor_page(
                f"{Q2C_API}/invoices/{kind}/lines", expression, cursor, _BulkLine,
                lambda line: (owner(line), line.document_id, line.number), f"lines of {kind} invoices",
            )  # fmt: skip
            for line in parsed.items:
                found.setdefault(owner(line), []).append(line)
            cursor = parsed.cursor
            if cursor is None:
                break
        return {
            number: tuple(line.to_line() for line in sorted(lines, key=lambda line: line.number))
            for number, lines in found.items()
        }


def _changed(since: datetime | None) -> str | None:
    return filters.at_least("lastUpdated", since) if since else None


def _parts(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[start : start + filters.MAX_IN] for start in range(0, len(numbers), filters.MAX_IN))


def _numbers(page: Page[Any]) -> Iterable[int]:
    numbers = (reject.external_number or "" for reject in page.rejects)
    return (int(number) for number in numbers if number.isdigit())


def _vat_forms(vat_number: str) -> list[str]:
    plain = "".join(character for character in vat_number.upper() if character.isalnum())
    bare = plain.removeprefix("DK") if plain[2:].isdigit() else plain
    forms = [vat_number, plain, bare, f"DK{bare}" if bare.isdigit() else bare]
    return list(dict.fromkeys(forms))


async def _or_none(call: Awaitable[T]) -> T | None:
    try:
        return await call
    except Refused as exc:
        if exc.problem.cause is Cause.NOT_FOUND:
            return None
        raise
