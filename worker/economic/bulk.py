"""The flat shapes of the OpenAPI services' bulk lists, turned into the shapes of the legacy documents."""

from schemas.base import EconomicIn
from schemas.customer import EconomicContact
from schemas.invoice import EconomicLine, ProductRef
from schemas.terms import UnitRef
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

    def to_line(self) -> EconomicLine:
        """Return it in the shape of the legacy documents. Not validated again: a million lines pass here."""
        return EconomicLine.model_construct(
            line_number=self.order[0],
            sort_key=self.order[0],
            description=self.description,
            quantity=self.quantity,
            unit_net_price=self.unit_net_price,
            discount_percentage=self.discount_percentage,
            total_net_amount=self.total_net_amount,
            vat_rate=self.vat_rate,
            vat_amount=self.vat_amount,
            product=ProductRef.model_construct(product_number=self.product_number) if self.product_number else None,
            unit=None if not self.unit_number else UnitRef.model_construct(unit_number=self.unit_number, name=None),
            booked_account=self.booked_account,
        )


class BulkContact(EconomicIn):
    """A contact of ``customersapi`` ``/Contacts``: ``number`` is unique over all customers."""

    customer_number: int
    number: int
    user_interface_number: int | None = None
    name: str = ""
    email: str | None = None
    is_deleted: bool = False

    def to_contact(self) -> EconomicContact:
        """Return it in the shape of the legacy documents.

        ``userInterfaceNumber`` is the number within the customer that customers and invoices refer to. Where it is
        absent the contact gets 0, which nothing refers to: the other number would point at somebody else.
        """
        return EconomicContact.model_construct(
            customer_number=self.customer_number,
            customer_contact_number=self.user_interface_number or 0,
            name=self.name,
            email=self.email,
            sort_key=None,
            deleted=self.is_deleted,
        )
