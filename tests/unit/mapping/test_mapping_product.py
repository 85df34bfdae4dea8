"""Products and the rules that give them a finance account and a VAT rate (R10, R11, R14, R27)."""

from decimal import Decimal

import pytest
from mapping_factories import RULES, product, recorded

from schemas.product import EconomicProduct
from worker.mapping.product import to_pike
from worker.mapping.tax_rules import TaxRules, tax_rate


@pytest.mark.requirement("R10", "R14")
def test_product_carries_number_price_in_base_currency_and_account() -> None:
    row = to_pike(product(name="Hour", sales_price="950.000000", unit={"unit_number": 3}), "DKK", 1010, {3: "time"})
    assert row.model_dump() == {
        "external_number": "1042",
        "name": "Hour",
        "sku": "1042",
        "description": None,
        "unit": "time",
        "price": Decimal("950.00"),
        "currency": "DKK",
        "finance_account": 1010,
        "barred": False,
    }


@pytest.mark.requirement("R11")
def test_barred_product_is_known_as_barred() -> None:
    rows = [to_pike(EconomicProduct.model_validate(p), "DKK", None, {}) for p in recorded("products")["collection"]]
    assert {row.external_number: row.barred for row in rows}["2"] is True
    assert {row.external_number: row.barred for row in rows}["1"] is False


def test_product_without_a_name_is_called_by_its_number_and_units_may_be_unknown() -> None:
    row = to_pike(product(unit={"unit_number": 9}), "", None, {})
    assert (row.name, row.unit, row.currency, row.price) == ("1042", None, None, None)


def test_unit_name_of_the_list_goes_before_the_register() -> None:
    assert to_pike(product(unit={"unit_number": 3, "name": "stk."}), "DKK", None, {3: "old"}).unit == "stk."


@pytest.mark.requirement("R14")
@pytest.mark.parametrize(
    ("number", "zone", "account"),
    [
        ("1042", 1, 1010),
        ("1042", 2, 1020),
        ("1042", 4, None),
        ("unknown", 1, None),
        ("loose", 1, None),
        (None, 1, None),
        ("1042", None, None),
    ],
)
def test_finance_account_follows_from_group_and_zone(number: str | None, zone: int | None, account: int | None) -> None:
    assert RULES.finance_account_for(number, zone) == account


@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    ("number", "zone", "name", "code"),
    [
        ("1042", 1, "25 %", "U25"),
        ("1042", 2, "0 %", "REP"),
        ("1042", 3, "0 %", None),
        ("1042", 4, "0 %", None),
        ("2000", 1, "0 %", "GONE"),
    ],
)
def test_rate_of_a_draft_line_follows_from_group_and_zone(number: str, zone: int, name: str, code: str | None) -> None:
    rate = RULES.tax_rate_for(number, zone)
    assert rate is not None
    assert (rate.name, rate.vat_code) == (name, code)


@pytest.mark.requirement("R27")
def test_rate_of_an_unknown_product_or_zone_is_unknown_and_not_nought() -> None:
    assert RULES.tax_rate_for("deleted", 1) is None
    assert RULES.tax_rate_for("1042", None) is None
    assert RULES.tax_rate_for(None, 1) is None


@pytest.mark.parametrize(
    ("rate", "name"),
    [("25", "25 %"), ("25.000000", "25 %"), ("12.50", "12.5 %"), ("0E-8", "0 %"), ("100", "100 %"), ("1E+1", "10 %")],
)
def test_rates_are_named_without_trailing_zeros(rate: str, name: str) -> None:
    assert tax_rate(Decimal(rate)).name == name


def test_codes_by_account_lists_accounts_that_carry_one() -> None:
    assert RULES.codes_by_account() == {1010: "U25", 1020: "REP", 1110: "GONE"}
    assert TaxRules.empty().codes_by_account() == {}
