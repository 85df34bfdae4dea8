"""The parts that legacy JSON documents are made of: links, references, terms and zones."""

from typing import Any

from worker.sandbox.lookups import Terms, VatZone


class Links:
    """Makes ``self`` links. Stray query parameters of the request are echoed in every one (seen live)."""

    def __init__(self, base: str, suffix: str = "") -> None:
        self.base = base
        self.suffix = suffix

    def to(self, path: str) -> str:
        """Return the address of a legacy path, given without its leading slash."""
        return f"{self.base}/{path}{self.suffix}"


def present(values: dict[str, Any]) -> dict[str, Any]:
    """Drop what is None: the service leaves absent properties out."""
    return {name: value for name, value in values.items() if value is not None}


def ref(links: Links, name: str, number: object, path: str) -> dict[str, Any]:
    """Return a reference object."""
    return {name: number, "self": links.to(path)}


def terms_doc(terms: Terms, links: Links) -> dict[str, Any]:
    """Return payment terms as the register and the documents show them."""
    return present(
        {
            "paymentTermsNumber": terms.number,
            "daysOfCredit": terms.days,
            "description": terms.description,
            "name": terms.name,
            "paymentTermsType": terms.type,
            "self": links.to(f"payment-terms/{terms.number}"),
        }
    )


def zone_doc(zone: VatZone, links: Links) -> dict[str, Any]:
    """Return a VAT zone."""
    return {
        "name": zone.name,
        "vatZoneNumber": zone.number,
        "enabledForCustomer": zone.for_customer,
        "enabledForSupplier": zone.for_supplier,
        "self": links.to(f"vat-zones/{zone.number}"),
    }
