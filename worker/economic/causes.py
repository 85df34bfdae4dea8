"""The table from e-conomic's error code and property to a cause, a sentence and a remedy.

Codes as seen in recorded answers and published findings (Pogoe/EConomic.NET, dabster2000/intranetservices, 2026).
"""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.problem import Cause
from worker.economic.findings import Finding

Explained = tuple[Cause, str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: the code, the properties it counts for (empty: all), and what it means."""

    code: str
    properties: frozenset[str]
    explain: Callable[[Finding], Explained]


def explain(finding: Finding, what: str) -> Explained:
    """Return cause, user message and remedy for the first error of a refused request."""
    for rule in _RULES:
        if finding.code == rule.code and (not rule.properties or finding.subject in rule.properties):
            cause, message, remedy = rule.explain(finding)
            return cause, message[:1].upper() + message[1:], remedy
    return (
        Cause.REFUSED_BY_ECONOMIC,
        f"e-conomic refused this ({what}{_about(finding)}).",
        "Compare the value with what e-conomic allows, change it in Pike, send it again; its support knows the log id.",
    )


def _about(finding: Finding) -> str:
    parts = [part for part in (finding.path, finding.code) if part]
    return ": " + ", ".join(parts) if parts else ""


def _shown(finding: Finding) -> str:
    value = finding.value
    return f" {value}" if isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) <= 60 else ""


def _on_line(finding: Finding) -> str:
    return f"Line {finding.line}: " if finding.line else ""


def _fixed(cause: Cause, message: str, remedy: str) -> Callable[[Finding], Explained]:
    return lambda finding: (cause, f"{_on_line(finding)}{message}", remedy)


def _product_barred(finding: Finding) -> Explained:
    return (
        Cause.PRODUCT_BARRED,
        f"{_on_line(finding)}product{_shown(finding)} is barred in e-conomic.",
        "Unbar the product in e-conomic, or choose another one on the invoice in Pike; then send it again.",
    )


def _missing(cause: Cause, thing: str, remedy: str) -> Callable[[Finding], Explained]:
    return lambda finding: (
        cause,
        f"{_on_line(finding)}{thing}{_shown(finding)} does not exist in e-conomic.",
        remedy,
    )


def _rule(code: str, explain_it: Callable[[Finding], Explained], *properties: str) -> Rule:
    return Rule(code, frozenset(properties), explain_it)


_ACCOUNT_REMEDY = (
    "Correct the chart of accounts or the product group in e-conomic; the accounting period is not the cause."
)
_PERIOD_REMEDY = "Open the period in e-conomic, or change the invoice date in Pike. Pike never moves a date by itself."
_TERMS_REMEDY = "Choose other payment terms for the customer in e-conomic, or a new default for the connection in Pike."

_RULES: tuple[Rule, ...] = (
    _rule("E06600", _product_barred),
    _rule(
        "E04041",
        _fixed(Cause.PERIOD_BARRED, "the date lies in an accounting period that is closed or barred.", _PERIOD_REMEDY),
        "date",
    ),
    _rule(
        "E04041",
        _fixed(Cause.ACCOUNT_UNUSABLE, "the finance account is missing or barred in e-conomic.", _ACCOUNT_REMEDY),
    ),
    _rule("E07150", _missing(Cause.ACCOUNT_UNUSABLE, "finance account", _ACCOUNT_REMEDY)),
    _rule("E07080", _missing(Cause.PAYMENT_TERMS_UNUSABLE, "the payment terms", _TERMS_REMEDY)),
    _rule(
        "E07180",
        _fixed(Cause.PAYMENT_TERMS_UNUSABLE, "the payment terms have another type in e-conomic by now.", _TERMS_REMEDY),
    ),
    _rule(
        "E06000",
        _missing(Cause.CURRENCY_UNUSABLE, "currency", "Set the currency up in e-conomic, then send it again."),
        "currency",
        "code",
    ),
    _rule(
        "E06000",
        _missing(Cause.CUSTOMER_DELETED, "customer", "Relink the customer in Pike, or create it again in e-conomic."),
        "customer",
        "customernumber",
    ),
    _rule(
        "E06000",
        _missing(
            Cause.PRODUCT_NOT_LINKED, "product", "Import products in Pike, or choose a product that e-conomic has."
        ),
        "product",
        "productnumber",
    ),
    _rule(
        "E06000",
        _missing(Cause.VAT_ZONE_UNUSABLE, "the VAT zone", "Choose another VAT zone for the customer in e-conomic."),
        "vatzone",
        "vatzonenumber",
    ),
    _rule("E06000", _missing(Cause.PAYMENT_TERMS_UNUSABLE, "the payment terms", _TERMS_REMEDY), "paymentterms"),
    _rule(
        "E04500",
        _fixed(
            Cause.LINE_INCOMPLETE,
            "a reference without a number was sent.",
            "Complete the line in Pike and send it again.",
        ),
    ),
    _rule(
        "E04730",
        _fixed(
            Cause.LINE_INCOMPLETE, "a product line needs a quantity.", "Fill in the quantity in Pike and send it again."
        ),
    ),
    _rule(
        "E04740",
        _fixed(
            Cause.TOO_MANY_DECIMALS,
            "e-conomic takes two decimals at most.",
            "Round quantity, price and discount to two decimals in Pike and send it again.",
        ),
    ),
    _rule(
        "E04042",
        _fixed(Cause.INVALID_DATES, "the payment terms need a due date.", "Set a due date on the invoice in Pike."),
    ),
    _rule(
        "E04760",
        _fixed(Cause.INVALID_DATES, "the due date is before the invoice date.", "Correct the dates in Pike."),
    ),
    _rule(
        "E04800",
        _fixed(
            Cause.REFUSED_BY_ECONOMIC,
            "the contact person belongs to another customer.",
            "Choose a contact person of this customer in e-conomic.",
        ),
    ),
    _rule(
        "E03040",
        _fixed(
            Cause.MODULE_MISSING,
            "the agreement lacks a module of e-conomic that this needs.",
            "Enable the add-on module in e-conomic, or change the subscription, then try again.",
        ),
    ),
    _rule("UpdateConflict", _fixed(Cause.REFUSED_BY_ECONOMIC, "somebody changed it meanwhile.", "Send it again.")),
)
