"""The table from e-conomic's error code and property to a cause, a sentence and a remedy.

The first row that fits decides. Codes as seen in recorded answers and published findings (Pogoe/EConomic.NET,
dabster2000/intranetservices, 2026).
"""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.problem import Cause
from worker.economic.findings import Finding
from worker.economic.wording import decimals, field_name, named, on_line, shown

Explained = tuple[Cause, str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: the code, the properties it counts for in lower case (empty: all), and what it means."""

    code: str
    properties: frozenset[str]
    explain: Callable[[Finding], Explained]


def _rule(code: str, explain_it: Callable[[Finding], Explained], *properties: str) -> Rule:
    return Rule(code, frozenset(properties), explain_it)


def _says(cause: Cause, message: str, remedy: str) -> Callable[[Finding], Explained]:
    return lambda finding: (cause, f"{on_line(finding)}{message}", remedy)


def _names(cause: Cause, thing: str, state: str, remedy: str) -> Callable[[Finding], Explained]:
    """Make a sentence with what was sent in it: ``product SKU-1 is barred in e-conomic``."""
    return lambda finding: (cause, f"{on_line(finding)}{named(thing, finding)} {state} in e-conomic.", remedy)


def _incomplete(finding: Finding, message: str) -> Explained:
    """Blame the line when the error is about one; a header is filled in by us, from the connection's defaults."""
    if finding.line:
        return Cause.LINE_INCOMPLETE, f"{on_line(finding)}{message}", _COMPLETE
    return Cause.REFUSED_BY_ECONOMIC, message, _choose(finding)


def _without_number(finding: Finding) -> Explained:
    return _incomplete(finding, f"the {field_name(finding) or 'reference'} is missing.")


def _without_value(finding: Finding) -> Explained:
    return _incomplete(finding, f"the {field_name(finding) or 'value'} is missing, and e-conomic needs it here.")


def _gone(finding: Finding) -> Explained:
    thing = field_name(finding)
    what = named(thing, finding) if thing else "something this refers to"
    message = f"{on_line(finding)}{what} {_GONE} in e-conomic."
    return Cause.REFUSED_BY_ECONOMIC, message, _choose(finding, "another")


def _decimals(finding: Finding) -> Explained:
    thing = f"the {field_name(finding) or 'number'}{shown(finding)}"
    state = decimals(finding) or " has more than two decimals"
    message = f"{on_line(finding)}{thing}{state}. e-conomic takes at most two."
    return Cause.TOO_MANY_DECIMALS, message, _ROUND


def _choose(finding: Finding, which: str = "the") -> str:
    thing = field_name(finding)
    what = f"Choose {which} {thing}" if thing else "Correct it"
    return f"{what} in e-conomic or in the connection's settings in Pike, then send it again."


DRAFT_MAY_BE_BOOKED = (
    "Import invoices in Pike to find it if it was booked. If it was deleted, unlock the invoice in Pike or send it "
    "again."
)
"""Remedy for a draft that is not there: nothing tells a deleted one from one that somebody booked by hand."""

_GONE = "does not exist"
_ACCOUNT = "Correct the chart of accounts or the product group in e-conomic (not the period), then send it again."
_PERIOD = "Open the period in e-conomic, or change the date in Pike; send it again. Pike never moves a date by itself."
_TERMS = "Choose other payment terms in e-conomic, or a new default for the connection in Pike; then send it again."
_PRODUCT = "Unbar the product in e-conomic, or choose another one on the invoice in Pike; then send it again."
_CUSTOMER = "Open the customer in e-conomic (it is barred there), then send it again."
_MODULE = "Enable the add-on module in e-conomic, or change the subscription, then try again."
_COMPLETE = "Complete the line in Pike and send it again."
_ROUND = "Round the number to two decimals in Pike and send it again. Pike never rounds what you wrote by itself."
_EITHER = (
    "Check in e-conomic that the period of the invoice date is open, and that the accounts of the product groups exist "
    "and are not barred; then send it again."
)

RULES: tuple[Rule, ...] = (
    _rule("E06600", _names(Cause.CUSTOMER_BARRED, "customer", "is barred", _CUSTOMER), "customer", "customernumber"),
    _rule("E06600", _names(Cause.PRODUCT_BARRED, "product", "is barred", _PRODUCT)),
    _rule(
        "E04041",
        lambda finding: (
            Cause.PERIOD_BARRED,
            f"{on_line(finding)}the date{shown(finding)} lies in an accounting period that is closed or barred.",
            _PERIOD,
        ),
        "date",
        "entrydate",
        "invoicedate",
    ),
    _rule(
        "E04041",
        _names(Cause.ACCOUNT_UNUSABLE, "finance account", "is missing or barred", _ACCOUNT),
        "account",
        "accountnumber",
        "contraaccount",
        "contraaccountnumber",
        "salesaccount",
    ),
    # the code means either; without a property that tells, neither is blamed
    _rule(
        "E04041",
        _says(
            Cause.REFUSED_BY_ECONOMIC,
            "either the date lies in a closed period, or a finance account is missing or barred in e-conomic.",
            _EITHER,
        ),
    ),
    _rule("E07150", _names(Cause.ACCOUNT_UNUSABLE, "finance account", _GONE, _ACCOUNT)),
    _rule("E07080", _names(Cause.PAYMENT_TERMS_UNUSABLE, "payment terms", "do not exist", _TERMS)),
    _rule(
        "E07180",
        _says(
            Cause.PAYMENT_TERMS_UNUSABLE,
            "the payment terms have another type in e-conomic than Pike knows.",
            "Connect the agreement again in Pike, which reads the payment terms anew, or choose other payment terms.",
        ),
    ),
    _rule(
        "E06000",
        _names(
            Cause.CURRENCY_UNUSABLE,
            "currency",
            "is not set up",
            "Add the currency in e-conomic, or choose another one in Pike; then send it again.",
        ),
        "currency",
        "code",
    ),
    _rule(
        "E06000",
        _names(
            Cause.CUSTOMER_DELETED,
            "customer",
            _GONE,
            "Relink the customer in Pike, or recreate it in e-conomic; then send it again.",
        ),
        "customer",
        "customernumber",
    ),
    _rule(
        "E06000",
        _names(
            Cause.PRODUCT_NOT_LINKED,
            "product",
            _GONE,
            "Import products in Pike, or choose one that e-conomic has; then send it again.",
        ),
        "product",
        "productnumber",
    ),
    _rule(
        "E06000",
        _names(
            Cause.VAT_ZONE_UNUSABLE,
            "VAT zone",
            _GONE,
            "Choose another VAT zone for the customer in e-conomic, then send it again.",
        ),
        "vatzone",
        "vatzonenumber",
    ),
    _rule(
        "E06000",
        _names(Cause.PAYMENT_TERMS_UNUSABLE, "payment terms", "do not exist", _TERMS),
        "paymentterms",
        "paymenttermsnumber",
    ),
    _rule("E06000", _names(Cause.ACCOUNT_UNUSABLE, "finance account", _GONE, _ACCOUNT), "account", "accountnumber"),
    _rule(
        "E06000",
        lambda finding: (
            Cause.DRAFT_DELETED,
            f"{named('draft', finding)} {_GONE} in e-conomic: it was deleted there, or booked already.",
            DRAFT_MAY_BE_BOOKED,
        ),
        "draftinvoice",
        "draftinvoicenumber",
    ),
    _rule("E06000", _gone),
    _rule(
        "E04500",
        _says(
            Cause.LINE_INCOMPLETE,
            "an invoice needs at least one line with a product to be booked.",
            "Add a line with a product in Pike and send it again.",
        ),
        "lines",
    ),
    _rule("E04500", _without_number),
    _rule("E04730", _says(Cause.LINE_INCOMPLETE, "a line with a product needs a quantity.", _COMPLETE)),
    _rule("E04740", _decimals),
    _rule(
        "E04042",
        _says(
            Cause.INVALID_DATES,
            "these payment terms need a due date.",
            "Set a due date on the invoice in Pike and send it again.",
        ),
        "duedate",
    ),
    _rule("E04042", _without_value),
    _rule(
        "E04760",
        _says(
            Cause.INVALID_DATES,
            "the due date is before the invoice date.",
            "Correct one of the two dates in Pike and send it again.",
        ),
    ),
    _rule(
        "E04800",
        _says(
            Cause.REFUSED_BY_ECONOMIC,
            "the contact person belongs to another customer.",
            "Choose a contact person of this customer in e-conomic, then send it again.",
        ),
    ),
    _rule("E03040", _says(Cause.MODULE_MISSING, "the agreement lacks a module of e-conomic that this needs.", _MODULE)),
)


def rule_for(finding: Finding) -> Rule | None:
    """Return the first row that fits an error, or ``None``."""
    for rule in RULES:
        if finding.code == rule.code and (not rule.properties or finding.subject in rule.properties):
            return rule
    return None
