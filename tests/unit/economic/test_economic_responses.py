"""Status and body of an answer → the error it means; error trees of every known shape. No message ever decides."""

from datetime import timedelta, timezone
from typing import Any

import pytest
from economic_bodies import EXAMPLES, NOW, refusal
from hypothesis import given
from hypothesis import strategies as st

from schemas.problem import Cause
from worker.economic.findings import MAX_FINDINGS, findings_in
from worker.economic.responses import error_for, retry_after_s, status_inside
from worker.errors import OutcomeUnknown, RateLimited, Unavailable

P = pytest.param


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


@pytest.mark.requirement("B1", "F13")
@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"m","errorCode":"PayloadChanged","httpStatusCode":400}',
        b'{"message":"m","errorCode":"URLChanged","httpStatusCode":400}',
        b'{"title":"t","status":400,"errorCode":"InvalidInput","errors":[{"message":"m","errorCode":"PayloadChanged"}]}',
    ],
)
def test_a_key_used_for_something_else_means_that_something_was_sent_and_must_be_looked_up(body: bytes) -> None:
    error = error_for(400, {}, body, "creating the draft", now=NOW, write=True)
    assert isinstance(error, OutcomeUnknown)
    assert "no clear answer" in error.problem.user_message
    assert not error.problem.final
    assert refusal(body, write=False).cause is Cause.REFUSED_BY_ECONOMIC, "a read has no key"


@pytest.mark.requirement("F12")
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Retry-After": "30"}, "Paused, resumes at about 12:00 UTC."),
        ({"Retry-After": "3600"}, "Paused, resumes at about 13:00 UTC."),
        ({}, "Paused for a moment."),
        ({"Retry-After": "x"}, "Paused for a moment."),
    ],
)
def test_a_rate_limit_says_when_work_goes_on_if_that_is_known(headers: dict[str, str], said: str) -> None:
    error = error_for(429, headers, b"", "reading", now=NOW)
    assert isinstance(error, RateLimited)
    assert error.problem.user_message == f"e-conomic asks Pike to slow down. {said}"
    assert not error.problem.final


def test_the_time_is_said_in_utc_whatever_zone_the_clock_has() -> None:
    copenhagen = NOW.astimezone(timezone(timedelta(hours=1)))
    error = error_for(429, {"Retry-After": "60"}, b"", "reading", now=copenhagen)
    assert "12:01 UTC" in error.problem.user_message


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({"X-RequestId": "0HN:7-a|b.c_d"}, b"<html>", ", requestId 0HN:7-a|b.c_d"),
        ({"X-RequestId": "r" * 150}, b"", ", requestId " + "r" * 100),
        ({"X-RequestId": "two words\r\nmore"}, b"", ""),
        ({"X-RequestId": "\u0661"}, b"", ""),
        ({}, b"", ""),
        ({"X-RequestId": "r-1"}, b'{"message":"m","logId":"9-CPH"}', ", logId 9-CPH"),
    ],
)
def test_engineers_are_told_what_support_finds_the_call_by(headers: dict[str, str], body: bytes, told: str) -> None:
    assert str(error_for(502, headers, body, "it", now=NOW)) == f"it: HTTP 502{told}"


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (502, b"<html>"), (504, b""), (400, b"<html>"), (404, b""), (404, b"[]"), (404, b'{"nothing":1}'),
     (409, b'{"errorCode":"UpdateConflict","message":"m"}'), (418, b'{"message":"m"}'), (408, b""), (302, b"")],
)  # fmt: skip
def test_what_is_no_answer_of_e_conomics_is_unavailable(status: int, body: bytes) -> None:
    assert isinstance(error_for(status, {}, body, "it", now=NOW), Unavailable)


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
