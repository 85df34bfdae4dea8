"""The table from e-conomic's error code and property to a cause, a sentence and a remedy.

Codes as seen in recorded answers and published findings (Pogoe/EConomic.NET, dabster2000/intranetservices, 2026).
The first row that fits decides. For "text too long" the service has no code of its own: the value it repeats is
measured against the limits of its published JSON Schemas.
"""

from collections.abc import Callable, Iterable
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
    explained = _by_table(finding) or _too_long(finding)
    if explained is None:
        return (
            Cause.REFUSED_BY_ECONOMIC,
            f"e-conomic refused this ({what}{_about(finding)}).",
            "Change it in Pike to what e-conomic allows, then send it again. Its support finds the call by the log id.",
        )
    cause, message, remedy = explained
    return cause, message[:1].upper() + message[1:], remedy


def fields_of(findings: Iterable[Finding]) -> list[str]:
    """Return the paths of all errors, each once."""
    return list(dict.fromkeys(finding.path for finding in findings if finding.path))


def _by_table(finding: Finding) -> Explained | None:
    for rule in _RULES:
        if finding.code == rule.code and (not rule.properties or finding.subject in rule.properties):
            return rule.explain(finding)
    return None


_LIMITS: dict[str, int] = {
    "notes.heading": 250,
    "notes.textline1": 1000,
    "notes.textline2": 1000,
    "references.other": 250,
    "lines.description": 2500,
    "recipient.name": 250,
    "recipient.address": 250,
    "recipient.zip": 50,
    "recipient.city": 250,
    "recipient.country": 50,
    "name": 255,
    "address": 510,
    "zip": 30,
    "city": 50,
    "country": 50,
    "email": 255,
    "corporateidentificationnumber": 40,
    "vatnumber": 20,
}
"""Characters allowed in what we send (restapi.e-conomic.com/schema, customers.post and invoices.drafts.post)."""


def _too_long(finding: Finding) -> Explained | None:
    limit = _LIMITS.get(".".join(finding.names))
    if limit is None or not isinstance(finding.value, str) or len(finding.value) <= limit:
        return None
    field = finding.path.rpartition(".")[2]
    size = f"{len(finding.value)} of at most {limit} characters"
    return (
        Cause.TEXT_TOO_LONG,
        f"{_on_line(finding)}the text in {field} is too long for e-conomic: {size}.",
        "Shorten the text in Pike and send it again. Pike never cuts a text by itself.",
    )


def _about(finding: Finding) -> str:
    parts = [part for part in (finding.path, finding.code) if part]
    return ": " + ", ".join(parts) if parts else ""


def _shown(finding: Finding) -> str:
    value = finding.value
    return f" {value}" if isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) <= 60 else ""


def _on_line(finding: Finding) -> str:
    return f"Line {finding.line}: " if finding.line else ""


def _says(cause: Cause, message: str, remedy: str) -> Callable[[Finding], Explained]:
    return lambda finding: (cause, f"{_on_line(finding)}{message}", remedy)


def _names(cause: Cause, thing: str, state: str, remedy: str) -> Callable[[Finding], Explained]:
    """Make a sentence with what was sent in it: ``product SKU-1 is barred in e-conomic``."""
    return lambda finding: (cause, f"{_on_line(finding)}{thing}{_shown(finding)} {state} in e-conomic.", remedy)


def _rule(code: str, explain_it: Callable[[Finding], Explained], *properties: str) -> Rule:
    return Rule(code, frozenset(properties), explain_it)


_GONE = "does not exist"
_ACCOUNT = "Correct the chart of accounts or the product group in e-conomic; the accounting period is not the cause."
_PERIOD = "Open the period in e-conomic, or change the invoice date in Pike. Pike never moves a date by itself."
_TERMS = "Choose other payment terms for the customer in e-conomic, or a new default for the connection in Pike."
_PRODUCT = "Unbar the product in e-conomic, or choose another one on the invoice in Pike; then send it again."
_CUSTOMER = "Open the customer in e-conomic (it is barred there), then send it again."
_MODULE = "Enable the add-on module in e-conomic, or change the subscription, then try again."
_COMPLETE = "Complete the line in Pike and send it again."
_ROUND = "Round quantity, price and discount to two decimals in Pike and send it again."
_SUPPORT = "Check in e-conomic whether it exists, and tell our engineers before it is sent again."

_RULES: tuple[Rule, ...] = (
    _rule("E06600", _names(Cause.CUSTOMER_BARRED, "customer", "is barred", _CUSTOMER), "customer", "customernumber"),
    _rule("E06600", _names(Cause.PRODUCT_BARRED, "product", "is barred", _PRODUCT)),
    _rule(
        "E04041",
        _says(Cause.PERIOD_BARRED, "the date lies in an accounting period that is closed or barred.", _PERIOD),
        "date",
    ),
    _rule("E04041", _names(Cause.ACCOUNT_UNUSABLE, "the finance account", "is missing or barred", _ACCOUNT)),
    _rule("E07150", _names(Cause.ACCOUNT_UNUSABLE, "finance account", _GONE, _ACCOUNT)),
    _rule("E07080", _names(Cause.PAYMENT_TERMS_UNUSABLE, "payment terms", _GONE, _TERMS)),
    _rule("E07180", _says(Cause.PAYMENT_TERMS_UNUSABLE, "the payment terms have another type by now.", _TERMS)),
    _rule(
        "E06000",
        _names(Cause.CURRENCY_UNUSABLE, "currency", "is not set up", "Add the currency in e-conomic, then send again."),
        "currency",
        "code",
    ),
    _rule(
        "E06000",
        _names(Cause.CUSTOMER_DELETED, "customer", _GONE, "Relink the customer in Pike, or recreate it in e-conomic."),
        "customer",
        "customernumber",
    ),
    _rule(
        "E06000",
        _names(Cause.PRODUCT_NOT_LINKED, "product", _GONE, "Import products, or choose one that e-conomic has."),
        "product",
        "productnumber",
    ),
    _rule(
        "E06000",
        _names(Cause.VAT_ZONE_UNUSABLE, "VAT zone", _GONE, "Choose another VAT zone for the customer in e-conomic."),
        "vatzone",
        "vatzonenumber",
    ),
    _rule(
        "E06000",
        _names(Cause.PAYMENT_TERMS_UNUSABLE, "payment terms", _GONE, _TERMS),
        "paymentterms",
        "paymenttermsnumber",
    ),
    _rule("E06000", _names(Cause.ACCOUNT_UNUSABLE, "finance account", _GONE, _ACCOUNT), "account", "accountnumber"),
    _rule(
        "E06000",
        _names(Cause.DRAFT_DELETED, "draft", _GONE, "Unlock the invoice in Pike, or send it again."),
        "draftinvoice",
        "draftinvoicenumber",
    ),
    _rule(
        "E04500",
        _says(Cause.LINE_INCOMPLETE, "an invoice needs at least one line with a product to be booked.", _COMPLETE),
        "lines",
    ),
    _rule("E04500", _says(Cause.LINE_INCOMPLETE, "a product is missing, or a reference has no number.", _COMPLETE)),
    _rule("E04730", _says(Cause.LINE_INCOMPLETE, "a line with a product needs a quantity.", _COMPLETE)),
    _rule("E04740", _says(Cause.TOO_MANY_DECIMALS, "e-conomic takes at most two decimals here.", _ROUND)),
    _rule(
        "E04042",
        _says(Cause.INVALID_DATES, "these payment terms need a due date.", "Set a due date on the invoice in Pike."),
        "duedate",
    ),
    _rule("E04042", _says(Cause.LINE_INCOMPLETE, "a value that this line needs is missing.", _COMPLETE), "description"),
    _rule(
        "E04760",
        _says(Cause.INVALID_DATES, "the due date is before the invoice date.", "Correct the dates in Pike."),
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
    _rule("PayloadChanged", _says(Cause.INTERNAL_ERROR, "this was already sent to e-conomic differently.", _SUPPORT)),
    _rule("URLChanged", _says(Cause.INTERNAL_ERROR, "this was already sent to e-conomic elsewhere.", _SUPPORT)),
)
