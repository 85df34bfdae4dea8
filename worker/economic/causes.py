"""What a refused request means to a person: the errors that the table knows, said together; the first gives the cause.

For "text too long" the service has no code of its own: the value it repeats is measured against the limits of its
published JSON Schemas.
"""

from collections.abc import Iterable, Sequence

from schemas.problem import Cause
from worker.economic.cause_table import Explained, rule_for
from worker.economic.findings import Finding
from worker.economic.wording import field_name, on_line

MAX_LISTED = 5
"""Errors that are said in full; the rest is counted."""


def explain(findings: Sequence[Finding], what: str) -> tuple[Finding, Explained]:
    """Return the error that decides, with cause, user message and remedy for all of them.

    The first error that the table knows decides; when it knows none, the first of all. ``findings`` is not empty.
    """
    known = [(finding, found) for finding in findings if (found := _explained(finding)) is not None]
    if not known:
        return findings[0], _unknown(findings[0], what)
    said = {message: remedy for _, (_, message, remedy) in known}
    listed = list(said)[:MAX_LISTED]
    remedies = dict.fromkeys(said[message] for message in listed)
    unsaid = len(said) - len(listed) + len(findings) - len(known)
    more = [f"And {unsaid} more."] if unsaid else []
    decisive, (cause, _, _) = known[0]
    return decisive, (cause, " ".join([*listed, *more]), " ".join(remedies))


def fields_of(findings: Iterable[Finding]) -> list[str]:
    """Return the paths of all errors, each once."""
    return list(dict.fromkeys(finding.path for finding in findings if finding.path))


def _explained(finding: Finding) -> Explained | None:
    rule = rule_for(finding)
    found = rule.explain(finding) if rule else _too_long(finding)
    if found is None:
        return None
    cause, message, remedy = found
    return cause, message[:1].upper() + message[1:], remedy


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
    size = f"{len(finding.value)} of at most {limit} characters"
    return (
        Cause.TEXT_TOO_LONG,
        f"{on_line(finding)}the {field_name(finding)} is too long for e-conomic: {size}.",
        "Shorten the text in Pike and send it again. Pike never cuts a text by itself.",
    )


def _unknown(finding: Finding, what: str) -> Explained:
    about = ", ".join(part for part in (finding.path, finding.code) if part)
    return (
        Cause.REFUSED_BY_ECONOMIC,
        f"e-conomic refused this ({what}{': ' if about else ''}{about}).",
        "Change it in Pike to what e-conomic allows, then send it again. e-conomic's support finds it by the log id.",
    )
