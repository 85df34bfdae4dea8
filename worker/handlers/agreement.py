"""What an agreement offers for new customers and invoices, and which of it is chosen when nobody has chosen yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.economic.endpoints import EconomicApi

DOMESTIC = 1


@dataclass(frozen=True, slots=True)
class Option:
    """A row of a register. ``kind`` is the type of payment terms, which decides whether a due date is sent."""

    number: int
    name: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """An agreement whose grant works, with its registers by the name of the default they serve."""

    number: int
    company_name: str
    base_currency: str
    options: Mapping[str, Sequence[Option]]


async def verify(api: EconomicApi) -> Verified:
    """Ask e-conomic whose grant it is, and what there is to choose from.

    Raises ``GrantRevoked`` when it does not accept the grant, ``Refused`` when the grant's role does not reach far
    enough, ``Unavailable``.
    """
    found = await api.get_self()
    options = {
        "customer_group": [Option(g.customer_group_number, g.name) for g in await api.customer_groups()],
        "payment_terms": [
            Option(t.payment_terms_number, t.name, t.payment_terms_type) for t in await api.payment_terms()
        ],
        "vat_zone": [Option(z.vat_zone_number, z.name) for z in await api.vat_zones()],
        "layout": [Option(each.layout_number, each.name) for each in await api.layouts() if not each.deleted],
    }
    return Verified(
        found.agreement_number,
        found.company.name,
        found.settings.base_currency,
        {name: sorted(rows, key=lambda row: row.number) for name, rows in options.items()},
    )


def choose_defaults(options: Mapping[str, Sequence[Option]]) -> dict[str, Any]:
    """Pick the first group, layout and net terms, and the domestic VAT zone; nothing where there is nothing."""
    chosen: dict[str, Any] = {}
    for name in ("customer_group", "layout"):
        if rows := options.get(name):
            chosen[name] = rows[0].number
    if terms := options.get("payment_terms"):
        chosen |= terms_of(next((term for term in terms if term.kind in ("net", "invoiceMonth")), terms[0]))
    if zones := options.get("vat_zone"):
        chosen["vat_zone"] = DOMESTIC if any(zone.number == DOMESTIC for zone in zones) else zones[0].number
    return chosen


def terms_of(option: Option) -> dict[str, Any]:
    """Return payment terms as they lie in a connection's defaults: the number and, beside it, its type."""
    return {"payment_terms": option.number, "payment_terms_type": option.kind}
