"""A dead letter's body as people read it: indented, bounded, and without what looks like a secret."""

import json
import re
from dataclasses import dataclass

from worker.store.dead_letters import DeadLetter
from worker.telemetry.redaction import REDACTOR

MOST_SHOWN = 20_000
"""Characters on a page; all of it is to be had on the command line."""
MOST_EDITED = 24_000
"""A form encodes some characters as three, and requests are bounded (``hardening.MAX_BODY``)."""

_NUMBER = re.compile(r'"\\u0000([-+0-9.eE]+)\\u0000"')


@dataclass(frozen=True, slots=True)
class Payload:
    """``text`` is what is shown. ``to_edit`` is all of it; ``None`` when a form cannot hold it, or some is hidden."""

    text: str
    to_edit: str | None
    redacted: bool
    size: int


def payload_of(letter: DeadLetter) -> Payload:
    """Read a letter's body."""
    readable = True
    try:
        value = json.loads(letter.body, parse_float=lambda text: f"\0{text}\0")
        plain = _written(value)
        text = _written(REDACTOR(None, "", {"body": value})["body"])
    except (ValueError, RecursionError):
        plain = letter.body.decode("utf-8", errors="backslashreplace")
        readable = plain.encode() == letter.body
        text = REDACTOR.text(plain)
    redacted = text != plain
    shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… {len(text) - MOST_SHOWN:,} more characters"
    editable = readable and not redacted and len(text) <= MOST_EDITED
    return Payload(shown, text if editable else None, redacted, len(letter.body))


def _written(value: object) -> str:
    """Indent a value; numbers stay as they were written (10.50 stays 10.50)."""
    return _NUMBER.sub(r"\1", json.dumps(value, indent=2, ensure_ascii=False))
