"""Products from e-conomic to Pike; never the other way (R10)."""

from collections.abc import Mapping

from schemas.product import EconomicProduct, PikeProduct
from worker.mapping import money, texts


def to_pike(
    product: EconomicProduct,
    base_currency: str,
    finance_account: int | None,
    unit_names: Mapping[int, str],
) -> PikeProduct:
    """Return Pike's row. ``finance_account`` is the account of the product's group in the domestic VAT zone (R14).

    Prices are in the agreement's base currency. A barred product becomes inactive.
    """
    return PikeProduct(
        external_number=product.product_number,
        name=texts.line(product.name) or product.product_number,
        sku=product.product_number,
        description=texts.block(product.description),
        unit=_unit(product, unit_names),
        price=money.tidy_or_none(product.sales_price),
        currency=base_currency or None,
        finance_account=finance_account,
        barred=product.barred,
    )


def _unit(product: EconomicProduct, unit_names: Mapping[int, str]) -> str | None:
    """The list's own name of the unit, else the register's."""
    if product.unit is None:
        return None
    return texts.line(product.unit.name) or texts.line(unit_names.get(product.unit.unit_number))
