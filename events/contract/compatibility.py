"""Whether a contract still keeps what an earlier one promised. Works on two AsyncAPI documents of ours.

What publishers send must still be taken (the new schema accepts all that the old one did); what readers get must
still be what they were told (the old schema accepts all that the new one produces). Nothing may disappear. General
tools answer "is this schema part of that one" with yes or no; here the answer names the field and the way out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from events.contract.widening import Change, Comparison

_INSTEAD = "Keep the old form and add to it, or publish the change as an event of a new type"


@dataclass(frozen=True, slots=True)
class Break:
    """One promise that would be broken: in which event, at which field, and how it reads to a person."""

    event_type: str
    path: str
    what: str

    def __str__(self) -> str:
        """Say what broke, whom it hits, and what to do."""
        where = f"{self.event_type}, {self.path}" if self.path else self.event_type
        return f"{where}: {self.what}. {_INSTEAD}."


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Break]:
    """Return every promise of ``old`` that ``new`` breaks, in the order of the old document; none when it may go out.

    Additions are free: new events, new optional fields of a request, new fields of an answer, and new words in a set
    that says of itself that it grows (``x-extensible-enum``).
    """
    found: list[Break] = []
    for event_type, action in _operations(old):
        if (event_type, action) not in set(_operations(new)):
            whom = "others publish it" if action == "receive" else "others listen to it"
            found.append(Break(event_type, "", f"the event is no longer part of the contract, and {whom}"))
            continue
        found.extend(_of_event(event_type, action, old, new))
    return found


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for operation in document["operations"].values():
        yield operation["channel"]["$ref"].rpartition("/")[2], operation["action"]


def _of_event(event_type: str, action: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Break]:
    olds, news = old["components"]["schemas"], new["components"]["schemas"]
    read_by_us = action == "receive"
    comparison = Comparison(news, olds) if read_by_us else Comparison(olds, news)
    phrase = _for_publishers if read_by_us else _for_readers
    kept = Comparison(olds, news)
    gone = list(kept.missing(olds[event_type], news[event_type]))
    for path in gone:
        whom = "publishers send it and would not notice" if read_by_us else "readers rely on it"
        yield Break(event_type, path, f"the field is gone or has another name, and {whom}")
    changes = comparison.changes(comparison.wider[event_type], comparison.narrower[event_type])
    yield from (Break(event_type, change.path, phrase(change)) for change in changes if change.path not in gone)
    if read_by_us:
        for path, before, now in kept.defaults(olds[event_type], news[event_type]):
            yield Break(event_type, path, f"left out it meant {before!r} and would now mean {now!r}")


def _for_publishers(change: Change) -> str:
    match change.kind:
        case "required":
            return "the field must be given now, and publishers of the last release may leave it out"
        case "values":
            return f"{change.what} is no longer accepted"
        case "type":
            return f"{change.what} is no longer accepted there"
        case _:
            return f"{change.what} was {change.narrow} and is {change.wide} now, so that good events would be refused"


def _for_readers(change: Change) -> str:
    match change.kind:
        case "required":
            return "the field may be missing now, and readers were told that it is always there"
        case "values":
            return f"it may be {change.what} now, which readers were told does not happen"
        case "type":
            return f"it may be {change.what} now, which readers do not expect"
        case _:
            return f"{change.what} was {change.wide} and is {change.narrow} now, which is more than readers were told"
