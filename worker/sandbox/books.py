"""The books of one company: every register with its indexes, and the rules that the API's handlers ask for.

Every change goes through here, so that indexes, remembered text and time marks stay right.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from worker.sandbox.hooks import Hooks
from worker.sandbox.lookups import (
    Account,
    AccountingYear,
    Currency,
    CustomerGroup,
    Named,
    ProductGroup,
    Terms,
    VatAccount,
    VatZone,
)
from worker.sandbox.records import ZERO, Booked, Contact, Customer, DocumentLine, Draft, Product
from worker.sandbox.register import Register


class Books:
    """Registers, empty at first."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.hooks = Hooks(now)
        self.customers: Register[int, Customer] = Register()
        self.contacts: Register[int, Contact] = Register()
        self.products: Register[str, Product] = Register()
        self.drafts: Register[int, Draft] = Register(index=lambda row: row.other)
        self.booked: Register[int, Booked] = Register(index=lambda row: row.other)
        self.vat_zones: Register[int, VatZone] = Register()
        self.terms: Register[int, Terms] = Register()
        self.units: Register[int, Named] = Register()
        self.layouts: Register[int, Named] = Register()
        self.employees: Register[int, Named] = Register()
        self.customer_groups: Register[int, CustomerGroup] = Register()
        self.product_groups: Register[int, ProductGroup] = Register()
        self.accounts: Register[int, Account] = Register()
        self.vat_accounts: Register[str, VatAccount] = Register()
        self.currencies: Register[str, Currency] = Register()
        self.years: Register[str, AccountingYear] = Register()
        self.contacts_of: dict[int, list[int]] = defaultdict(list)
        self.booked_of: dict[int, list[int]] = defaultdict(list)
        self.closed_periods: list[tuple[date, date]] = []
        self.next_draft_number = 1
        self._free_customer_number = 1
        self._free_document_ids: list[int] = []
        self._last_document_id = 0
        self._last_booked = 0

    def forget_texts(self) -> None:
        """Render everything anew from now on: links begin with another address."""
        for register in vars(self).values():
            if isinstance(register, Register):
                register.forget_texts()

    # --- customers and products --------------------------------------------------------------

    def free_customer_number(self) -> int:
        """Return the lowest unused number: numbers of deleted customers are used again."""
        while self._free_customer_number in self.customers:
            self._free_customer_number += 1
        return self._free_customer_number

    def put_customer(self, customer: Customer) -> Customer:
        """Insert or replace a customer, stamped with the current second."""
        known = self.customers.get(customer.number)
        customer.version = known.version + 1 if known else 1
        customer.last_updated = self.now().replace(microsecond=0)
        self.customers.put(customer.number, customer)
        self.hooks.happened("CUSTOMER_UPDATED", OLDNUMBER=customer.number if known else "", NEWNUMBER=customer.number)
        return customer

    def remove_customer(self, number: int) -> None:
        """Delete a customer and its contacts."""
        self.customers.remove(number)
        self.hooks.happened("CUSTOMER_UPDATED", OLDNUMBER=number)
        self._free_customer_number = min(self._free_customer_number, number)
        for contact_number in self.contacts_of.pop(number, []):
            contact = self.contacts[contact_number]
            contact.deleted = True
            self._touch_contact(contact)

    def free_contact_number(self) -> int:
        """Return the next global contact number."""
        return max(self.contacts.rows, default=0) + 1

    def put_contact(self, contact: Contact) -> Contact:
        """Insert or replace a contact."""
        if contact.number not in self.contacts_of[contact.customer]:
            self.contacts_of[contact.customer].append(contact.number)
        self._touch_contact(contact)
        return contact

    def _touch_contact(self, contact: Contact) -> None:
        known = self.contacts.get(contact.number)
        contact.version = known.version + 1 if known else 1
        contact.last_updated = self.now().replace(microsecond=0)
        self.contacts.put(contact.number, contact)

    def contact(self, customer: int, ui_number: int) -> Contact | None:
        """Return a customer's contact by the number that legacy REST shows."""
        for number in self.contacts_of.get(customer, ()):
            if self.contacts[number].ui_number == ui_number:
                return self.contacts[number]
        return None

    def put_product(self, product: Product) -> Product:
        """Insert or replace a product, stamped with the current whole minute."""
        known = self.products.get(product.number)
        product.version = known.version + 1 if known else 1
        product.last_updated = self.now().replace(second=0, microsecond=0)
        self.products.put(product.number, product)
        self.hooks.happened("PRODUCT_UPDATED", OLDNUMBER=product.number if known else "", NEWNUMBER=product.number)
        return product

    def remove_product(self, number: str) -> None:
        """Delete a product."""
        self.products.remove(number)
        self.hooks.happened("PRODUCT_UPDATED", OLDNUMBER=number)

    # --- invoices ----------------------------------------------------------------------------

    def free_document_id(self) -> int:
        """Take the internal number for a new draft: those of drafts that are gone are used again."""
        if self._free_document_ids:
            return heapq.heappop(self._free_document_ids)
        self._last_document_id += 1
        return self._last_document_id

    def insert_draft(self, draft: Draft) -> None:
        """Insert or replace a draft as it is."""
        self.drafts.put(draft.number, draft)
        self.next_draft_number = max(self.next_draft_number, draft.number + 1)
        self._last_document_id = max(self._last_document_id, draft.document_id)

    def put_draft(self, draft: Draft) -> Draft:
        """Insert or replace a draft, stamped with the current whole minute."""
        draft.last_updated = self.now().replace(second=0, microsecond=0)
        self.insert_draft(draft)
        return draft

    def remove_draft(self, number: int) -> None:
        """Take a draft out. Raises KeyError."""
        heapq.heappush(self._free_document_ids, self.drafts.remove(number).document_id)

    def put_booked(self, invoice: Booked) -> Booked:
        """Insert a booked invoice."""
        self.booked.put(invoice.number, invoice)
        self.booked_of[invoice.customer].append(invoice.number)
        self._last_booked = max(self._last_booked, invoice.number)
        self.balance_changed(invoice.customer)
        self.hooks.happened("INVOICE_BOOKED", INVOICENO=invoice.number)
        return invoice

    def next_booked_number(self) -> int:
        """Return the number the next booking gets."""
        return self._last_booked + 1

    def balance_changed(self, customer: int) -> None:
        """Say that what a customer owes is different now."""
        self.customers.forget_text(customer)

    def balance(self, customer: int, *, due_before: date | None = None) -> Decimal:
        """Return what a customer owes in base currency, optionally only what was due before a day."""
        invoices = (self.booked[number] for number in self.booked_of.get(customer, ()))
        return sum(
            (
                invoice.remainder_base
                for invoice in invoices
                if due_before is None or (invoice.due_date is not None and invoice.due_date < due_before)
            ),
            ZERO,
        )

    # --- rules -------------------------------------------------------------------------------

    def can_book_on(self, day: date) -> bool:
        """Return whether an open accounting year and no barred period holds that day."""
        if any(first <= day <= last for first, last in self.closed_periods):
            return False
        return any(year.first <= day <= year.last and not year.closed for year in self.years)

    def sales_account(self, product: Product, zone: int) -> Account | None:
        """Return the account that a product is booked to in a VAT zone."""
        group = self.product_groups[product.group]
        number = group.accounts.get(zone)
        return None if number is None else self.accounts.get(number)

    def vat_rate(self, account: Account | None) -> Decimal:
        """Return the percentage of an account's VAT code; none means 0."""
        code = None if account is None else account.vat_code
        vat = None if code is None else self.vat_accounts.get(code)
        return ZERO if vat is None else vat.rate

    def booked_lines(self) -> list[DocumentLine]:
        """Return the lines of all booked invoices, by invoice number."""
        return self.booked.view("lines", lambda: _document_lines(self.booked.rows))

    def draft_lines(self) -> list[DocumentLine]:
        """Return the lines of all drafts, by internal document number."""
        return self.drafts.view("lines", lambda: _document_lines({d.document_id: d for d in self.drafts}))


def _document_lines(documents: Mapping[int, Draft | Booked]) -> list[DocumentLine]:
    """Return the lines of documents in key order, each numbered uniquely within its document."""
    found = []
    for key in sorted(documents):
        document = documents[key]
        found += [DocumentLine(document, key, line, index) for index, line in enumerate(document.lines, 1)]
    return found
