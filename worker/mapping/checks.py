"""Collects everything that is wrong with one document before it is sent, so that a person sees it at once."""

from dataclasses import dataclass, field

from schemas.problem import Cause
from worker.errors import refused

MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a sentence, what to do, and the field it concerns."""

    cause: Cause
    message: str
    remedy: str
    field: str


@dataclass(slots=True)
class Findings:
    """The list while it grows. The first finding gives the cause, all give their sentences and fields."""

    found: list[Finding] = field(default_factory=list)

    def add(self, cause: Cause, message: str, remedy: str, field_name: str) -> None:
        """Note one finding."""
        self.found.append(Finding(cause, message, remedy, field_name))

    def check_length(self, text: str | None, limit: int, label: str, field_name: str) -> None:
        """Note a text that is longer than e-conomic takes, with a counter; it is never cut (F9)."""
        if text is not None and len(text) > limit:
            self.add(
                Cause.TEXT_TOO_LONG,
                f"{label} has {len(text)} characters; e-conomic takes {limit}.",
                f"Shorten it by {len(text) - limit}.",
                field_name,
            )

    def raise_if_any(self) -> None:
        """Raise ``Refused`` when something was noted."""
        if not self.found:
            return
        messages = [finding.message for finding in self.found[:MAX_LISTED]]
        if len(self.found) > MAX_LISTED:
            messages.append(f"And {len(self.found) - MAX_LISTED} more.")
        remedies = dict.fromkeys(finding.remedy for finding in self.found[:MAX_LISTED])
        raise refused(
            self.found[0].cause,
            " ".join(messages),
            " ".join(remedies),
            fields=list(dict.fromkeys(finding.field for finding in self.found)),
        )
