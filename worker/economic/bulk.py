"""The flat shapes of the OpenAPI services' bulk lists, with the names that legacy documents give the same things.

They stand for ``InvoiceLine`` and ``Contact`` as they are: a million lines pass here, none is made twice.
"""

from schemas.base import EconomicIn
from schemas.values import Amount


class BulkLine(EconomicIn):
    """A line of ``q2capi`` ``/invoices/booked/lines`` and ``/invoices/drafts/lines``.

    ``document_id`` is the invoice number on booked lines and an internal id on draft lines, whose number is
    ``draft_invoice_number``. ``number`` is unique in its document; ``user_interface_number`` counts from 1 in it.
    """

    document_id: int | None = None
    draft_invoice_number: int | None = None
    number: int | None = None
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

    @property
    def order(self) -> tuple[int, int]:
        """Return the place among the lines of its document: as numbered on screen, else by its own number."""
        own = self.number or 0
        return (own if self.user_interface_number is None else self.user_interface_number, own)

    @property
    def line_number(self) -> int:
        """The place, by the name that legacy documents give it."""
        return self.order[0]

    @property
    def sort_key(self) -> int:
        """The same place."""
        return self.order[0]


class BulkContact(EconomicIn):
    """A contact of ``customersapi`` ``/Contacts``: ``number`` is unique over all customers."""

    customer_number: int
    number: int
    user_interface_number: int | None = None
    name: str = ""
    email: str | None = None
    is_deleted: bool = False

    @property
    def customer_contact_number(self) -> int:
        """The number within the customer, which customers and invoices refer to (``userInterfaceNumber``).

        Where it is absent the contact gets 0, which nothing refers to: the other number would point at somebody else.
        """
        return self.user_interface_number or 0

    @property
    def sort_key(self) -> None:
        """This list has no order of its own."""

    @property
    def deleted(self) -> bool:
        """Whether it was deleted, by the name that legacy documents give it."""
        return self.is_deleted
