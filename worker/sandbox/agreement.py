"""One agreement: its books, its grant and switches, and the changes that a person in e-conomic could make."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from worker.sandbox.amounts import VatRounding, to_base
from worker.sandbox.books import Books
from worker.sandbox.hooks import Hook
from worker.sandbox.records import ZERO, Booked, Customer, Draft, Product, Totals

Role = Literal["SuperUser", "Sales", "Bookkeeping", "ProjectEmployee"]
Language = Literal["da", "en"]


class Agreement(Books):
    """An agreement. Its registers may be read freely; use the methods to change them.

    ``role``, ``language`` and ``vat_rounding`` are switches. The repr shows no token.
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
        super().__init__(now)
        self.number = number
        self.company_name = company_name
        self.vat_rounding: VatRounding = vat_rounding
        self.language: Language = language
        self.read_only = read_only
        self.role: Role = "SuperUser"
        self.base_currency = "DKK"
        self.cvr = f"{10_000_000 + number * 7 % 89_999_999:08d}"
        self.signup: date = now().date()
        self._grants_issued = 1
        self._revoked = False

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

    # --- what a person in e-conomic could do -------------------------------------------------

    def change_customer(self, number: int, **changes: Any) -> Customer:
        """Change fields of a customer, for example ``name="..."`` or ``barred=True``."""
        customer = self.customers[number]
        _assign(customer, changes)
        return self.put_customer(customer)

    def rename_customer(self, number: int, name: str) -> Customer:
        """Give a customer another name; its invoices keep the old one."""
        return self.change_customer(number, name=name)

    def change_product(self, number: str, **changes: Any) -> Product:
        """Change fields of a product, for example ``sales_price=Decimal("10.00")`` or ``barred=True``."""
        product = self.products[number]
        _assign(product, changes)
        return self.put_product(product)

    def renumber_customer(self, old: int, new: int) -> Customer:
        """Give a customer another number; its contacts and documents go along."""
        if new in self.customers:
            raise ValueError(f"customer {new} exists already")
        customer = self.customers.remove(old)
        customer.number, customer.last_updated = new, self.now().replace(microsecond=0)
        self.customers.put(new, customer)
        for number in self.contacts_of.setdefault(new, self.contacts_of.pop(old, [])):
            self.contacts[number].customer = new
            self.contacts.touch(number)
        for number in self.booked_of.setdefault(new, self.booked_of.pop(old, [])):
            self.booked[number].customer = new
            self.booked.touch(number)
        for draft in self.drafts:
            if draft.customer == old:
                draft.customer = new
                self.drafts.touch(draft.number)
        self.hooks.happened("CUSTOMER_UPDATED", OLDNUMBER=old, NEWNUMBER=new)
        return customer

    def renumber_product(self, old: str, new: str) -> Product:
        """Give a product another number, as the agreement's settings may allow; documents keep the old one."""
        if new in self.products:
            raise ValueError(f"product {new} exists already")
        product = self.products.remove(old)
        product.number, product.last_updated = new, self.now().replace(second=0, microsecond=0)
        self.products.put(new, product)
        self.hooks.happened("PRODUCT_UPDATED", OLDNUMBER=old, NEWNUMBER=new)
        return product

    def configure_hook(self, event_type: str, url: str) -> Hook:
        """Set up a webhook in the user interface: an address with merge fields, no headers of one's own."""
        hook = Hook(event_type, "Set up by hand", url, "application/json", self.now(), owner="ui")
        self.hooks.put(hook)
        return hook

    def set_price(self, number: str, sales_price: Decimal) -> Product:
        """Change a product's sales price in base currency."""
        return self.change_product(number, sales_price=sales_price)

    def bar_product(self, number: str, *, barred: bool = True) -> Product:
        """Bar or unbar a product: barred ones cannot be put on invoices."""
        return self.change_product(number, barred=barred)

    def register_payment(self, number: int, amount: Decimal | None = None) -> Booked:
        """Lower what is unpaid by ``amount`` in the invoice's currency, or settle it. Overpaying goes below zero."""
        invoice = self.booked[number]
        invoice.remainder = ZERO if amount is None else invoice.remainder - amount
        invoice.remainder_base = to_base(invoice.remainder, invoice.rate)
        self.booked.touch(number)
        self.balance_changed(invoice.customer)
        return invoice

    def close_period(self, first: date, last: date) -> None:
        """Bar the days from ``first`` to ``last``: nothing can be booked there."""
        self.closed_periods.append((first, last))

    def open_periods(self) -> None:
        """Undo every ``close_period``; closed accounting years stay closed."""
        self.closed_periods.clear()

    def bar_account(self, number: int, *, barred: bool = True) -> None:
        """Bar or unbar an account of the chart."""
        self.accounts.put(number, replace(self.accounts[number], barred=barred))

    # --- what tests and demos want to know ---------------------------------------------------

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
        return [draft for draft in self.drafts.find(other) if draft.other == other]

    def find_booked(self, other: str) -> list[Booked]:
        """Return the booked invoices whose ``references.other`` is exactly that."""
        return [invoice for invoice in self.booked.find(other) if invoice.other == other]


def _assign(row: object, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if not hasattr(row, name):
            raise AttributeError(f"{type(row).__name__} has no field {name!r}")
        setattr(row, name, value)
