"""What a refused request means to a person: every row of the table, its whole sentence, and several errors at once."""

from typing import Any

import pytest
from economic_bodies import EXAMPLES, at, at_all, body_with, refusal

from schemas.problem import Cause
from worker.economic.cause_table import RULES, rule_for
from worker.economic.findings import findings_in

F = pytest.mark.requirement
P = pytest.param

CASES = [
    P(["lines", 0, "product"], "E06600", "A-1", Cause.PRODUCT_BARRED,
      "Line 1: product A-1 is barred in e-conomic.", marks=F("F1")),
    P(["customer"], "E06600", 17, Cause.CUSTOMER_BARRED, "Customer 17 is barred in e-conomic.", marks=F("F7")),
    P(["customer", "customerNumber"], "E06600", 17, Cause.CUSTOMER_BARRED,
      "Customer 17 is barred in e-conomic.", marks=F("F7")),
    P(["Date"], "E04041", "2026-01-01", Cause.PERIOD_BARRED,
      "The date 2026-01-01 lies in an accounting period that is closed or barred.", marks=F("F2")),
    P(["invoiceDate"], "E04041", None, Cause.PERIOD_BARRED,
      "The date lies in an accounting period that is closed or barred.", marks=F("F2")),
    P(["entryDate"], "E04041", None, Cause.PERIOD_BARRED,
      "The date lies in an accounting period that is closed or barred.", marks=F("F2")),
    P(["account"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 is missing or barred in e-conomic.", marks=F("F3")),
    P(["lines", 2, "account", "accountNumber"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE,
      "Line 3: finance account 1010 is missing or barred in e-conomic.", marks=F("F3")),
    P(["contraAccount"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 is missing or barred in e-conomic.", marks=F("F3")),
    P(["contraAccountNumber"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 is missing or barred in e-conomic.", marks=F("F3")),
    P(["salesAccount"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 is missing or barred in e-conomic.", marks=F("F3")),
    P(["lines", 0, "product"], "E04041", "A-1", Cause.REFUSED_BY_ECONOMIC,
      "Line 1: either the date lies in a closed period, or a finance account is missing or barred in e-conomic.",
      marks=F("F2", "F3")),
    P(["account"], "E07150", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 does not exist in e-conomic.", marks=F("F3")),
    P(["account"], "E06000", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 does not exist in e-conomic.", marks=F("F3")),
    P(["accountNumber"], "E06000", 1010, Cause.ACCOUNT_UNUSABLE,
      "Finance account 1010 does not exist in e-conomic.", marks=F("F3")),
    P(["paymentTerms"], "E07080", 3, Cause.PAYMENT_TERMS_UNUSABLE,
      "Payment terms 3 do not exist in e-conomic.", marks=F("F4")),
    P(["paymentTermsType"], "E07180", "net", Cause.PAYMENT_TERMS_UNUSABLE,
      "The payment terms have another type in e-conomic than Pike knows.", marks=F("F4")),
    P(["paymentTerms"], "E06000", 3, Cause.PAYMENT_TERMS_UNUSABLE,
      "Payment terms 3 do not exist in e-conomic.", marks=F("F4")),
    P(["paymentTerms", "paymentTermsNumber"], "E06000", 3, Cause.PAYMENT_TERMS_UNUSABLE,
      "Payment terms 3 do not exist in e-conomic.", marks=F("F4")),
    P(["currency"], "E06000", "XYZ", Cause.CURRENCY_UNUSABLE,
      "Currency XYZ is not set up in e-conomic.", marks=F("F5")),
    P(["currency", "code"], "E06000", "XYZ", Cause.CURRENCY_UNUSABLE,
      "Currency XYZ is not set up in e-conomic.", marks=F("F5")),
    P(["customer"], "E06000", 17, Cause.CUSTOMER_DELETED, "Customer 17 does not exist in e-conomic.", marks=F("F6")),
    P(["customer", "customerNumber"], "E06000", 17, Cause.CUSTOMER_DELETED,
      "Customer 17 does not exist in e-conomic.", marks=F("F6")),
    P(["lines", 1, "product"], "E06000", "B", Cause.PRODUCT_NOT_LINKED,
      "Line 2: product B does not exist in e-conomic."),
    P(["lines", 1, "product", "productNumber"], "E06000", "B", Cause.PRODUCT_NOT_LINKED,
      "Line 2: product B does not exist in e-conomic."),
    P(["recipient", "vatZone"], "E06000", 9, Cause.VAT_ZONE_UNUSABLE,
      "VAT zone 9 does not exist in e-conomic.", marks=F("F14")),
    P(["vatZone", "vatZoneNumber"], "E06000", 9, Cause.VAT_ZONE_UNUSABLE,
      "VAT zone 9 does not exist in e-conomic.", marks=F("F14")),
    P(["draftInvoice"], "E06000", 5, Cause.DRAFT_DELETED,
      "Draft 5 does not exist in e-conomic: it was deleted there, or booked already.", marks=F("F17")),
    P(["draftInvoice", "draftInvoiceNumber"], "E06000", 5, Cause.DRAFT_DELETED,
      "Draft 5 does not exist in e-conomic: it was deleted there, or booked already.", marks=F("F17")),
    P(["layout"], "E06000", 3, Cause.REFUSED_BY_ECONOMIC, "Layout 3 does not exist in e-conomic."),
    P(["customerGroup", "customerGroupNumber"], "E06000", 3, Cause.REFUSED_BY_ECONOMIC,
      "Customer group 3 does not exist in e-conomic."),
    P(["lines"], "E04500", None, Cause.LINE_INCOMPLETE,
      "An invoice needs at least one line with a product to be booked.", marks=F("F8")),
    P(["lines", 4, "product"], "E04500", {}, Cause.LINE_INCOMPLETE, "Line 5: the product is missing.", marks=F("F8")),
    P(["layout"], "E04500", {}, Cause.REFUSED_BY_ECONOMIC, "The layout is missing."),
    P(["lines", 4, "quantity"], "E04730", None, Cause.LINE_INCOMPLETE,
      "Line 5: a line with a product needs a quantity.", marks=F("F8")),
    P(["lines", 4, "quantity"], "E04740", 1.235, Cause.TOO_MANY_DECIMALS,
      "Line 5: the quantity 1.235 has 3 decimals; rounded it is 1.24. e-conomic takes at most two.", marks=F("F8")),
    P(["lines", 4, "unitNetPrice"], "E04740", "1.235", Cause.TOO_MANY_DECIMALS,
      "Line 5: the unit price 1.235 has more than two decimals. e-conomic takes at most two.", marks=F("F8")),
    P(["dueDate"], "E04042", None, Cause.INVALID_DATES, "These payment terms need a due date."),
    P(["lines", 0, "description"], "E04042", None, Cause.LINE_INCOMPLETE,
      "Line 1: the description is missing, and e-conomic needs it here.", marks=F("F8")),
    P(["recipient", "vatZone"], "E04042", None, Cause.REFUSED_BY_ECONOMIC,
      "The VAT zone is missing, and e-conomic needs it here."),
    P(["dueDate"], "E04760", "2026-01-01", Cause.INVALID_DATES, "The due date is before the invoice date."),
    P(["references", "customerContact"], "E04800", 3, Cause.REFUSED_BY_ECONOMIC,
      "The contact person belongs to another customer."),
    P(["layout"], "E03040", None, Cause.MODULE_MISSING,
      "The agreement lacks a module of e-conomic that this needs.", marks=F("F10")),
]  # fmt: skip
BY_MEASURE = [
    P(["notes", "heading"], None, "x" * 251, Cause.TEXT_TOO_LONG,
      "The title is too long for e-conomic: 251 of at most 250 characters.", marks=F("F9")),
    P(["lines", 1, "description"], "E00500", "x" * 2501, Cause.TEXT_TOO_LONG,
      "Line 2: the description is too long for e-conomic: 2501 of at most 2500 characters.", marks=F("F9")),
    P(["corporateIdentificationNumber"], None, "1" * 41, Cause.TEXT_TOO_LONG,
      "The company registration number is too long for e-conomic: 41 of at most 40 characters.", marks=F("F9")),
    P(["vatNumber"], None, "1" * 21, Cause.TEXT_TOO_LONG,
      "The VAT number is too long for e-conomic: 21 of at most 20 characters.", marks=F("F9")),
]  # fmt: skip
UNKNOWN = [
    P(["notes", "heading"], None, "x" * 250, Cause.REFUSED_BY_ECONOMIC,
      "e-conomic refused this (creating the draft: notes.heading)."),
    P(["lines", 3, "unit"], "E99999", 3, Cause.REFUSED_BY_ECONOMIC,
      "e-conomic refused this (creating the draft: lines[3].unit, E99999)."),
]  # fmt: skip


@pytest.mark.requirement("B3")
@pytest.mark.parametrize(("path", "code", "value", "cause", "said"), [*CASES, *BY_MEASURE, *UNKNOWN])
def test_code_and_property_decide_the_cause(
    path: list[str | int], code: str | None, value: Any, cause: Cause, said: str
) -> None:
    problem = refusal(at(path, code, value))
    assert problem.user_message == said
    assert problem.cause is cause
    assert problem.final
    assert problem.remedy.endswith(".")
    assert problem.fields
    assert "Noget er galt" not in problem.model_dump_json()
    assert problem.economic is not None
    assert (problem.economic.error_code, problem.economic.log_id) == (code or "E04300", "9-CPH")


def test_every_row_of_the_table_and_every_property_in_it_has_a_case() -> None:
    met = set()
    for case in CASES:
        path, code, value, *_ = case.values
        (finding,) = findings_in(at(path, code, value))
        rule = rule_for(finding)
        assert rule is not None
        met.add((RULES.index(rule), finding.subject if rule.properties else ""))
    assert met == {(row, name) for row, rule in enumerate(RULES) for name in rule.properties or [""]}


@pytest.mark.parametrize(
    ("path", "code", "does"),
    [
        P(["lines", 0, "product"], "E06600", "Unbar the product in e-conomic", marks=F("F1")),
        P(["date"], "E04041", "Pike never moves a date by itself", marks=F("F2")),
        P(["account"], "E04041", "(not the period)", marks=F("F3")),
        P(["account"], "E07150", "(not the period)", marks=F("F3")),
        P(["lines", 0, "product"], "E04041", "the period of the invoice date is open, and that the accounts"),
        P(["paymentTerms"], "E07080", "a new default for the connection", marks=F("F4")),
        P(["paymentTermsType"], "E07180", "reads the payment terms anew", marks=F("F4")),
        P(["currency"], "E06000", "Add the currency in e-conomic", marks=F("F5")),
        P(["customer"], "E06000", "Relink the customer in Pike, or recreate it in e-conomic", marks=F("F6")),
        P(["customer"], "E06600", "Open the customer in e-conomic", marks=F("F7")),
        P(["lines", 0, "quantity"], "E04740", "Pike never rounds what you wrote by itself", marks=F("F8")),
        P(["lines", 0, "quantity"], "E04730", "Complete the line in Pike", marks=F("F8")),
        P(["layout"], "E03040", "Enable the add-on module in e-conomic, or change the subscription", marks=F("F10")),
        P(["draftInvoice"], "E06000", "unlock the invoice in Pike or send it again", marks=F("F17")),
        P(["layout"], "E06000", "Choose another layout in e-conomic or in the connection's settings"),
        P(["layout"], "E04500", "Choose the layout in e-conomic or in the connection's settings"),
    ],
)  # fmt: skip
def test_the_remedy_says_who_does_what_where(path: list[str | int], code: str, does: str) -> None:
    assert does in refusal(at(path, code)).remedy


@pytest.mark.requirement("F9")
def test_a_text_too_long_is_never_cut_by_pike() -> None:
    assert "Pike never cuts a text by itself" in refusal(at(["name"], None, "x" * 256)).remedy


def test_a_thing_without_a_name_is_said_without_one() -> None:
    problem = refusal({"message": "Fejl.", "errorCode": "E06000", "httpStatusCode": 400})
    assert problem.user_message == "Something this refers to does not exist in e-conomic."
    assert problem.remedy.startswith("Correct it in e-conomic or in the connection's settings")
    for code, said in (("E04500", "The reference is missing."), ("E04740", "The number has more than two decimals.")):
        assert refusal({"message": "Fejl.", "errorCode": code, "httpStatusCode": 400}).user_message.startswith(said)


@pytest.mark.parametrize("value", [{"a": 1}, True, "x" * 61, "a\nb", " ", None, [1]])
def test_only_a_value_that_can_be_read_is_repeated(value: Any) -> None:
    assert refusal(at(["lines", 0, "product"], "E06600", value)).user_message == (
        "Line 1: the product is barred in e-conomic."
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("1.230", "the quantity 1.230 has more than two decimals"),
        ("0.0000001", "the quantity 0.0000001 has 7 decimals; rounded it is 0.00"),
        ("-1.005", "the quantity -1.005 has 3 decimals; rounded it is -1.01"),
        ("1e-300", "the quantity 1E-300 has more than two decimals"),
        ("123456789012345678.125", "the quantity 123456789012345678.125 has more than two decimals"),
    ],
)
def test_a_number_is_written_out_and_rounded_as_long_as_it_is_ordinary(number: str, said: str) -> None:
    body = str(at(["lines", 0, "quantity"], "E04740", 4711)).replace("'", '"').replace("4711", number).encode()
    assert refusal(body).user_message.startswith(f"Line 1: {said}")


# --- several errors in one answer --------------------------------------------------------------------------------


@pytest.mark.requirement("F1", "B3")
def test_a_barred_product_is_named_with_its_line_from_a_recorded_answer() -> None:
    problem = refusal((EXAMPLES / "error-400-validation-barred-product.json").read_bytes())
    assert problem.cause is Cause.PRODUCT_BARRED
    assert problem.user_message == "Line 9: product SKU-1 is barred in e-conomic."
    assert problem.fields == ["lines[8].product"]
    assert problem.economic is not None
    assert problem.economic.model_dump() == {
        "error_code": "E06600",
        "property": "product",
        "log_id": "000000000000000000-FRA",
    }


@pytest.mark.requirement("F4")
def test_several_errors_are_said_together_and_the_first_gives_the_cause() -> None:
    problem = refusal((EXAMPLES / "error-400-validation-paymentterms.json").read_bytes())
    assert problem.cause is Cause.PAYMENT_TERMS_UNUSABLE
    assert problem.user_message == (
        "Payment terms 4711 do not exist in e-conomic. "
        "The payment terms have another type in e-conomic than Pike knows."
    )
    assert problem.fields == ["paymentTerms", "paymentTermsType"]
    assert problem.economic is not None
    assert problem.economic.error_code == "E07080"


def test_an_error_that_the_table_knows_decides_before_one_that_it_does_not() -> None:
    problem = refusal(at_all((["lines", 0, "unit"], "E99999", 3), (["customer"], "E06600", 17)))
    assert problem.cause is Cause.CUSTOMER_BARRED
    assert problem.user_message == "Customer 17 is barred in e-conomic. And 1 more."
    assert problem.fields == ["lines[0].unit", "customer"]
    assert problem.economic is not None
    assert (problem.economic.error_code, problem.economic.property) == ("E06600", "customer")


@pytest.mark.requirement("F1")
def test_every_affected_line_is_said_up_to_five_and_a_remedy_only_once() -> None:
    problem = refusal(at_all(*((["lines", n, "product"], "E06600", f"P{n}") for n in range(7))))
    said = [f"Line {n + 1}: product P{n} is barred in e-conomic." for n in range(5)]
    assert problem.user_message == " ".join([*said, "And 2 more."])
    assert problem.remedy.count("Unbar the product") == 1
    assert len(problem.fields) == 7


def test_what_is_said_twice_is_said_once_and_every_sentence_keeps_its_remedy() -> None:
    same = (["date"], "E04041", "2026-01-01")
    problem = refusal(at_all(*[same] * 6, (["customer"], "E06600", 17)))
    assert problem.user_message == (
        "The date 2026-01-01 lies in an accounting period that is closed or barred. Customer 17 is barred in e-conomic."
    )
    assert "Open the period" in problem.remedy
    assert "Open the customer" in problem.remedy


def test_a_body_without_single_errors_is_explained_by_its_own_code() -> None:
    problem = refusal(body_with(None) | {"errorCode": "E03040"})
    assert problem.cause is Cause.MODULE_MISSING
    assert problem.fields == []
