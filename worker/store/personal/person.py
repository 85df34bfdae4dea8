"""By which words a person is known, and taking them out of texts: pure."""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

ERASED = "[erased]"
SHORTEST = 4
"""Shorter words would be found everywhere; so would first names alone, which are not looked for."""

# Whole words; what follows an escape of JSON (\\n, \\u00e6) begins one.
_BEGINS = r"(?:(?<!\w)|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4}))"
_ENDS = r"(?!\w)"

_WHOLE = (
    "name",
    "primary_contact_full_name",
    "address",
    "primary_contact_address",
    "vat_number",
    "primary_contact_email",
)


@dataclass(frozen=True)
class Person:
    """A customer as texts may name them: Pike's id, and every name, e-mail, address and VAT number there ever was."""

    id: str
    words: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, customer_id: object, versions: Iterable[Mapping[str, Any]]) -> "Person":
        """Collect the words from versions of the customer's row, as column → value."""
        words: set[str] = set()
        for version in versions:
            for column in _WHOLE:
                words |= _words(str(version.get(column) or ""), split=column.endswith("email"))
        return cls(str(customer_id), frozenset(words))

    @property
    def needles(self) -> list[str]:
        """What to look for in a database's texts, in lower case: every spelling, and the id."""
        return sorted({spelling.lower() for word in self.words for spelling in _spellings(word)} | {self.id})

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        spellings = {spelling for word in self.words for spelling in _spellings(word)}
        parts = [re.escape(each) for each in sorted(spellings, key=lambda each: (-len(each), each))]
        return re.compile(f"{_BEGINS}(?:{'|'.join(parts)}){_ENDS}", re.IGNORECASE) if parts else None

    def named_in(self, text: str) -> bool:
        """Whether a text names the person or the id."""
        return self.id in text.lower() or bool(self._pattern and self._pattern.search(text))

    def scrub_text(self, text: str) -> str:
        """Take the words out of a text."""
        return self._pattern.sub(ERASED, text) if self._pattern else text

    def scrub(self, value: Any) -> Any:
        """Take the person out of a JSON value: the words anywhere, and all of a record that has the person's id."""
        if isinstance(value, str):
            return self.scrub_text(value)
        if isinstance(value, list):
            return [self.scrub(each) for each in value]
        if isinstance(value, dict):
            if str(value.get("id", "")).lower() == self.id:
                return {key: each if key == "id" else _blank(each) for key, each in value.items()}
            return {key: self.scrub(each) for key, each in value.items()}
        return value

    def scrub_body(self, body: bytes) -> bytes:
        """Take the person out of a raw event, however it is spelled; what is not JSON is treated as text."""
        text = self.scrub_text(body.decode("utf-8", "surrogateescape"))
        if self.id in text.lower():
            with contextlib.suppress(ValueError, RecursionError):  # else no record is recognised; the words are out
                text = json.dumps(self.scrub(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogateescape")


def _words(text: str, *, split: bool) -> set[str]:
    parts = re.split(r"[\s;,]+", text) if split else [text, *re.split(r"[\r\n]+", text)]
    return {part.strip() for part in parts if len(part.strip()) >= SHORTEST}


def _spellings(word: str) -> set[str]:
    """As it is, and as JSON writes it with and without letters beyond ASCII."""
    return {word, json.dumps(word, ensure_ascii=False)[1:-1], json.dumps(word)[1:-1]}


def _blank(value: Any) -> Any:
    return ERASED if isinstance(value, str) else None
