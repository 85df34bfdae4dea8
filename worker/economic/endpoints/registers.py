"""The agreement itself and its small registers: what invoices and customers point at. Look-ups, not entities (R4)."""

from schemas.terms import CustomerGroup, Layout, PaymentTerms, Self, VatAccount, VatZone
from worker.economic.endpoints.calls import Calls
from worker.economic.listing import Listing

TERMS = Listing("/payment-terms", PaymentTerms, lambda t: t.payment_terms_number, "payment terms")
ZONES = Listing("/vat-zones", VatZone, lambda z: z.vat_zone_number, "VAT zones")
VAT_ACCOUNTS = Listing("/vat-accounts", VatAccount, lambda v: v.vat_code, "VAT accounts")
LAYOUTS = Listing("/layouts", Layout, lambda layout: layout.layout_number, "layouts")
CUSTOMER_GROUPS = Listing("/customer-groups", CustomerGroup, lambda g: g.customer_group_number, "customer groups")


class RegisterCalls(Calls):
    """Read the agreement and its registers."""

    async def get_self(self) -> Self:
        """Which agreement the grant belongs to; the cheapest proof that it still works."""
        return await self._one("/self", Self, "the agreement", "self")

    async def payment_terms(self) -> list[PaymentTerms]:
        """All payment terms."""
        return await self._register(TERMS)

    async def vat_zones(self) -> list[VatZone]:
        """All VAT zones."""
        return await self._register(ZONES)

    async def vat_accounts(self) -> list[VatAccount]:
        """All VAT codes with their rates."""
        return await self._register(VAT_ACCOUNTS, every_row=True)

    async def layouts(self) -> list[Layout]:
        """All layouts that are not deleted."""
        return await self._register(LAYOUTS)

    async def customer_groups(self) -> list[CustomerGroup]:
        """All customer groups."""
        return await self._register(CUSTOMER_GROUPS)
