"""One agreement in memory: its registers, its switches and the changes that a person in e-conomic could make.

Every change keeps indexes, remembered text and time marks right, so tests and demos change state only through here.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from worker.sandbox.amounts import VatRounding, to_base
from worker.sandbox.records import (
    ZERO,
    Account,
    AccountingYear,
    Booked,
    Contact,
    Currency,
    Customer,
    CustomerGroup,
    DocumentLine,
    Draft,
    Named,
    Product,
    ProductGroup,
    Terms,
    Totals,
    VatAccount,
    VatZone,
)
from worker.sandbox.register import Register

Role = Literal["SuperUser", "Sales", "Bookkeeping", "ProjectEmployee"]
Language = Literal["da", "en"]


class Agreement:
    """The books of one company. The registers may be read freely; use the methods to change them.

    ``role`` and ``language`` are switches. The repr shows no token.
    """

    def __init__(
        self,
        number: int,
        company_name: str,
        *,
        now: Callable[[], datetime],
        vat_rounding: VatRounding = "invoice",
        language: Language = "da",
        read_only: bool = False,
    ) -> None:
        self.number = number
        self.company_name = company_name
        self.now = now
        self.vat_rounding: VatRounding = vat_rounding
        self.language: Language = language
        self.read_only = read_only
        self.role: Role = "SuperUser"
        self.base_currency = "DKK"
        self.cvr = f"{10_000_000 + number * 7 % 89_999_999:08d}"
        self.signup: date = now().date()
        self.closed_periods: list[tuple[date, date]] = []
        self.customers: Register[int, Customer] = Register()
        self.contacts: Register[int, Contact] = Register()
        self.products: Register[str, Product] = Register()
        self.drafts: Register[int, Draft] = Register()
        self.booked: Register[int, Booked] = Register()
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
        self.next_draft_number = 1
        self._grants_issued = 1
        self._revoked = False
        self._free_customer_number = 1

    def __repr__(self) -> str:
        return f"Agreement({self.number}, {self.company_name!r})"

    # --- the grant ---------------------------------------------------------------------------

    @property
    def grant_token(self) -> str:
        """The newest grant token; fake by construction."""
        text = f"{self.number}:{self._grants_issued}"
        return f"sandbox-grant-{self.number}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def accepts(self, token: str) -> bool:
        """Return whether a call with that grant is let in."""
        return not self._revoked and token == self.grant_token

    @property
    def revoked(self) -> bool:
        """Whether the agreement has withdrawn its grant."""
        return self._revoked

    def revoke(self) -> None:
        """Withdraw the grant: every call answers 401 from now on."""
        self._revoked = True

    def restore(self) -> None:
        """Let the same grant in again."""
        self._revoked = False

    def grant(self) -> str:
        """Give the app access, as "Add app" does. After a withdrawal the token is a new one."""
        if self._revoked:
            self._grants_issued += 1
            self._revoked = False
        return self.grant_token

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
        return customer

    def remove_customer(self, number: int) -> None:
        """Delete a customer and its contacts."""
        self.customers.remove(number)
        self._free_customer_number = min(self._free_customer_number, number)
        for contact_number in self.contacts_of.pop(number, []):
            contact = self.contacts[contact_number]
            contact.deleted = True
            self._touch_contact(contact)

    def change_customer(self, number: int, **changes: Any) -> Customer:
        """Change fields of a customer, for example ``name="..."`` or ``barred=True``."""
        customer = self.customers[number]
        _assign(customer, changes)
        return self.put_customer(customer)

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
        return product

    def change_product(self, number: str, **changes: Any) -> Product:
        """Change fields of a product, for example ``sales_price=Decimal("10.00")`` or ``barred=True``."""
        product = self.products[number]
        _assign(product, changes)
        return self.put_product(product)

    # --- invoices ----------------------------------------------------------------------------

    def free_document_id(self) -> int:
        """Return the internal number for a new draft: reused as drafts go away."""
        return max((draft.document_id for draft in self.drafts), default=0) + 1

    def put_draft(self, draft: Draft) -> Draft:
        """Insert or replace a draft, stamped with the current whole minute."""
        draft.last_updated = self.now().replace(second=0, microsecond=0)
        self.drafts.put(draft.number, draft)
        self.next_draft_number = max(self.next_draft_number, draft.number + 1)
        return draft

    def put_booked(self, invoice: Booked) -> Booked:
        """Insert a booked invoice."""
        self.booked.put(invoice.number, invoice)
        self.booked_of[invoice.customer].append(invoice.number)
        self._balance_changed(invoice.customer)
        return invoice

    def next_booked_number(self) -> int:
        """Return the number the next booking gets."""
        return max(self.booked.rows, default=0) + 1

    def register_payment(self, number: int, amount: Decimal | None = None) -> Booked:
        """Lower what is unpaid by ``amount`` in the invoice's currency, or settle it. Overpaying goes below zero."""
        invoice = self.booked[number]
        invoice.remainder = ZERO if amount is None else invoice.remainder - amount
        invoice.remainder_base = to_base(invoice.remainder, invoice.rate)
        self.booked.touch(number)
        self._balance_changed(invoice.customer)
        return invoice

    def _balance_changed(self, customer: int) -> None:
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

    def totals(self) -> dict[tuple[str, int], Totals]:
        """Return the sums of all booked invoices per (currency, year of the invoice date)."""
        sums: dict[tuple[str, int], Totals] = {}
        for invoice in self.booked:
            row = sums.setdefault((invoice.currency, invoice.date.year), Totals())
            row.count += 1
            row.net += invoice.net
            row.vat += invoice.vat
            row.gross += invoice.gross
            row.remainder += invoice.remainder
        return dict(sorted(sums.items()))

    def find_drafts(self, other: str) -> list[Draft]:
        """Return the drafts whose ``references.other`` is exactly that."""
        return [draft for draft in self.drafts if draft.other == other]

    def find_booked(self, other: str) -> list[Booked]:
        """Return the booked invoices whose ``references.other`` is exactly that."""
        return [invoice for invoice in self.booked if invoice.other == other]

    # --- accounts and periods ----------------------------------------------------------------

    def close_period(self, first: date, last: date) -> None:
        """Bar the days from ``first`` to ``last``: nothing can be booked there."""
        self.closed_periods.append((first, last))

    def open_periods(self) -> None:
        """Undo every ``close_period``; closed accounting years stay closed."""
        self.closed_periods.clear()

    def can_book_on(self, day: date) -> bool:
        """Return whether an open accounting year and no barred period holds that day."""
        if any(first <= day <= last for first, last in self.closed_periods):
            return False
        return any(year.first <= day <= year.last and not year.closed for year in self.years)

    def bar_account(self, number: int, *, barred: bool = True) -> None:
        """Bar or unbar an account of the chart."""
        self.accounts.put(number, replace(self.accounts[number], barred=barred))

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


def _assign(row: object, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if not hasattr(row, name):
            raise AttributeError(f"{type(row).__name__} has no field {name!r}")
        setattr(row, name, value)
