"""Recorded and made-up error bodies → cause, sentence and remedy. The (localised) message never decides."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.problem import Cause, Problem
from worker.economic.findings import MAX_FINDINGS, findings_in
from worker.economic.responses import error_for, retry_after_s, status_inside
from worker.errors import Refused, Unavailable

EXAMPLES = Path(__file__).parents[2] / "data" / "economic" / "examples"


def refusal(body: Any, status: int = 400, *, write: bool = True) -> Problem:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = error_for(status, {}, data, "creating the draft", write=write)
    assert isinstance(error, Refused)
    return error.problem


def at(path: Sequence[str | int], code: str | None, value: Any = None, name: str | None = None) -> dict[str, Any]:
    """Return a legacy body with one error at a place of the request, its message in Danish."""
    last = next(part for part in reversed(path) if isinstance(part, str))
    error = {"propertyName": name or last, "errorMessage": "Noget er galt.", "errorCode": code, "inputValue": value}
    tree: dict[str, Any] = {"errors": [{key: item for key, item in error.items() if item is not None}]}
    for part in reversed(path):
        tree = {"items": [{"arrayIndex": part, **tree}]} if isinstance(part, int) else {part: tree}
    return {"message": "Fejl.", "errorCode": "E04300", "logId": "9-CPH", "httpStatusCode": 400, "errors": tree}


@pytest.mark.requirement("F1", "B3")
def test_a_barred_product_is_named_with_its_line_from_a_recorded_answer() -> None:
    problem = refusal((EXAMPLES / "error-400-validation-barred-product.json").read_bytes())
    assert problem.cause is Cause.PRODUCT_BARRED
    assert problem.user_message == "Line 9: product SKU-1 is barred in e-conomic."
    assert "Unbar" in problem.remedy
    assert problem.fields == ["lines[8].product"]
    assert problem.economic is not None
    assert problem.economic.model_dump() == {
        "error_code": "E06600",
        "property": "product",
        "log_id": "000000000000000000-FRA",
    }
    assert problem.final


@pytest.mark.requirement("F4")
def test_of_several_errors_the_first_decides_and_all_fields_are_named() -> None:
    problem = refusal((EXAMPLES / "error-400-validation-paymentterms.json").read_bytes())
    assert problem.cause is Cause.PAYMENT_TERMS_UNUSABLE
    assert "4711" in problem.user_message
    assert problem.fields == ["paymentTerms", "paymentTermsType"]
    assert problem.economic is not None
    assert problem.economic.error_code == "E07080"


F = pytest.mark.requirement
P = pytest.param


@pytest.mark.parametrize(
    ("path", "code", "value", "cause", "said"),
    [
        P(["lines", 0, "product"], "E06600", "A-1", Cause.PRODUCT_BARRED, "Line 1: product A-1", marks=F("F1")),
        P(["customer"], "E06600", 17, Cause.CUSTOMER_BARRED, "Customer 17 is barred", marks=F("F7")),
        P(["Date"], "E04041", "2026-01-01", Cause.PERIOD_BARRED, "accounting period", marks=F("F2")),
        P(["date"], "E04041", None, Cause.PERIOD_BARRED, "accounting period", marks=F("F2")),
        P(["account"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE, "account 1010", marks=F("F3")),
        P(["lines", 2, "account"], "E04041", 1010, Cause.ACCOUNT_UNUSABLE, "Line 3", marks=F("F3")),
        P(["account"], "E07150", 1010, Cause.ACCOUNT_UNUSABLE, "account 1010", marks=F("F3")),
        P(["paymentTerms"], "E07080", 3, Cause.PAYMENT_TERMS_UNUSABLE, "terms 3", marks=F("F4")),
        P(["paymentTermsType"], "E07180", "net", Cause.PAYMENT_TERMS_UNUSABLE, "type", marks=F("F4")),
        P(["paymentTerms"], "E06000", 3, Cause.PAYMENT_TERMS_UNUSABLE, "terms 3", marks=F("F4")),
        P(["currency"], "E06000", "XYZ", Cause.CURRENCY_UNUSABLE, "Currency XYZ", marks=F("F5")),
        P(["customer"], "E06000", 17, Cause.CUSTOMER_DELETED, "Customer 17", marks=F("F6")),
        P(["customer", "customerNumber"], "E06000", 17, Cause.CUSTOMER_DELETED, "Customer 17", marks=F("F6")),
        P(["lines", 1, "product"], "E06000", "B", Cause.PRODUCT_NOT_LINKED, "Line 2: product B"),
        P(["recipient", "vatZone"], "E06000", 9, Cause.VAT_ZONE_UNUSABLE, "VAT zone 9", marks=F("F14")),
        P(["draftInvoice"], "E06000", 5, Cause.DRAFT_DELETED, "Draft 5", marks=F("F17")),
        P(["lines", 4, "product"], "E04500", {}, Cause.LINE_INCOMPLETE, "Line 5", marks=F("F8")),
        P(["lines"], "E04500", None, Cause.LINE_INCOMPLETE, "at least one line", marks=F("F8")),
        P(["lines", 4, "quantity"], "E04730", None, Cause.LINE_INCOMPLETE, "Line 5", marks=F("F8")),
        P(["lines", 4, "quantity"], "E04740", 1.234, Cause.TOO_MANY_DECIMALS, "Line 5", marks=F("F8")),
        P(["dueDate"], "E04042", None, Cause.INVALID_DATES, "due date"),
        P(["lines", 0, "description"], "E04042", None, Cause.LINE_INCOMPLETE, "Line 1"),
        P(["dueDate"], "E04760", "2026-01-01", Cause.INVALID_DATES, "before"),
        P(["references", "customerContact"], "E04800", 3, Cause.REFUSED_BY_ECONOMIC, "another customer"),
        P(["layout"], "E03040", None, Cause.MODULE_MISSING, "module", marks=F("F10")),
        P(["notes", "heading"], None, "x" * 251, Cause.TEXT_TOO_LONG, "251 of at most 250", marks=F("F9")),
        P(
            ["lines", 1, "description"], "E00500", "x" * 2501, Cause.TEXT_TOO_LONG, "Line 2", marks=F("F9")
        ),
        P(["notes", "heading"], None, "short", Cause.REFUSED_BY_ECONOMIC, "notes.heading"),
        P(["layout"], "E06000", 3, Cause.REFUSED_BY_ECONOMIC, "layout, E06000"),
        P(["lines", 3, "unit"], "E99999", 3, Cause.REFUSED_BY_ECONOMIC, "lines[3].unit, E99999"),
    ],
)  # fmt: skip
def test_code_and_property_decide_the_cause(
    path: list[str | int], code: str | None, value: Any, cause: Cause, said: str
) -> None:
    problem = refusal(at(path, code, value))
    assert problem.cause is cause
    assert said in problem.user_message
    assert problem.user_message[0].isupper() or problem.user_message.startswith("e-conomic")
    assert problem.user_message.endswith(".")
    assert len(problem.remedy) > 20
    assert problem.fields
    assert "Noget er galt" not in problem.model_dump_json()
    assert problem.economic is not None
    assert problem.economic.log_id == "9-CPH"


@pytest.mark.parametrize(
    ("errors", "paths"),
    [
        pytest.param(
            {"lines": [{"arrayIndex": 2, "product": {"errors": [{"errorCode": "E1", "message": "m"}]}}]},
            ["lines[2].product"],
            id="bare list of 2015",
        ),
        pytest.param(
            [{"arrayIndex": 1, "entries": {"errors": [{"errorCode": "E1", "errorMessage": "m", "propertyName": "x"}]}}],
            ["[1].entries.x"],
            id="the request was a list",
        ),
        P(["Filtering is not allowed on property 'x'."], [], id="list of texts"),
        P([{"message": "m", "errorCode": "C", "property": "name"}], ["name"], id="problem+json"),
        pytest.param(
            {"message": {"errors": [{"errorMessage": "m", "errorCode": "E1"}]}}, ["message"], id="property 'message'"
        ),
        pytest.param({"a": {"errors": [{"errorMessage": "no code"}]}}, ["a"], id="without a code"),
        pytest.param(
            {"a": {"errors": [{"errorCode": "E1", "errorMessage": "m", "inputValue": {"errors": [1]}}]}}, ["a"],
            id="input value is an object",
        ),
        pytest.param(None, [], id="none"),
        pytest.param("text", [], id="text"),
    ],
)  # fmt: skip
def test_error_trees_of_every_known_shape_are_walked(errors: Any, paths: list[str]) -> None:
    assert [finding.path for finding in findings_in({"errors": errors})] == paths


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["errors", "items", "arrayIndex", "errorCode", "message", "a"]), inner)
    ),
    max_leaves=30,
)


@given(JSON)
def test_no_error_body_breaks_the_walk(errors: Any) -> None:
    problem = refusal({"message": "m", "errors": errors})
    assert len(problem.fields) <= MAX_FINDINGS


def test_a_tree_too_deep_is_given_up() -> None:
    tree: dict[str, Any] = {"errors": [{"errorCode": "E06600", "errorMessage": "m"}]}
    for _ in range(200):
        tree = {"x": tree}
    assert refusal({"message": "m", "errors": tree}).cause is Cause.REFUSED_BY_ECONOMIC


def test_a_refused_filter_from_a_recorded_answer_is_explained_without_its_message() -> None:
    problem = refusal((EXAMPLES / "error-400-filter.json").read_bytes(), write=False)
    assert problem.cause is Cause.REFUSED_BY_ECONOMIC
    assert "bogusProp" not in problem.model_dump_json()


@pytest.mark.parametrize("name", ["error-404.json", "openapi-error-404.problem.json"])
def test_recorded_404s_of_both_surfaces_mean_not_found(name: str) -> None:
    problem = refusal((EXAMPLES / name).read_bytes(), 404, write=False)
    assert problem.cause is Cause.NOT_FOUND
    assert problem.economic is not None
    assert problem.economic.log_id


@pytest.mark.requirement("F10")
def test_a_missing_module_is_named() -> None:
    body = {"title": "Missing modules: Project", "status": 403, "errorCode": "AccessDeniedAgreementMissingModules"}
    problem = refusal(body, 403)
    assert problem.cause is Cause.MODULE_MISSING
    assert "Project" in problem.user_message


@pytest.mark.requirement("F11")
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message":"x","errorCode":"E0","httpStatusCode":403}'])
def test_any_other_403_means_that_access_does_not_reach_there(body: bytes) -> None:
    problem = refusal(body, 403)
    assert problem.cause is Cause.ACCESS_DENIED
    assert "superuser" in problem.remedy


@pytest.mark.parametrize("code", ["PayloadChanged", "URLChanged"])
def test_a_key_used_for_something_else_is_ours_to_look_into(code: str) -> None:
    assert refusal({"message": "m", "errorCode": code, "httpStatusCode": 400}).cause is Cause.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (502, b"<html>"), (504, b""), (400, b"<html>"), (404, b""), (404, b"[]"), (404, b'{"nothing":1}'),
     (409, b'{"errorCode":"UpdateConflict","message":"m"}'), (418, b'{"message":"m"}'), (408, b""), (302, b"")],
)  # fmt: skip
def test_what_is_no_answer_of_e_conomics_is_unavailable(status: int, body: bytes) -> None:
    assert isinstance(error_for(status, {}, body, "it"), Unavailable)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"message":"x","errorCode":"E1","httpStatusCode":500}', 500),
        (b'{"title":"x","errorCode":"E1","status":404}', 404),
        (b'{"message":"x","httpStatusCode":400}', 400),
        (b'{"message":"Deleted invoice.","deletedCount":1}', None),
        (b'{"customerNumber":1,"name":"\\"errorCode\\""}', None),
        (b'{"errorCode":"E1","httpStatusCode":200}', None),
        (b'{"errorCode":"E1","httpStatusCode":"500"}', None),
        (b'{"errorCode"', None),
        (b"", None),
    ],
)
def test_an_error_in_a_success_is_noticed_by_its_own_status(body: bytes, status: int | None) -> None:
    assert status_inside(body) == status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30.0), ("0", 0.0), ("1.5", 1.5), ("-1", None), ("", None), ("nan", None), ("inf", 86400.0),
     ("999999999", 86400.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_read_in_seconds_and_bounded(text: str, seconds: float | None) -> None:
    assert retry_after_s({"Retry-After": text}) == seconds
