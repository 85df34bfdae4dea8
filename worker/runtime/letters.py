"""Dead letters by cause: which belong together, because one act puts them all right, and what they are about."""

import hashlib
import json
import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.dead_letters import DeadLetter

_INDEX = re.compile(r"\[\d+\]")
_SHOWN = 500
"""Documents that one group lists; the count is always whole."""


@dataclass(frozen=True, slots=True)
class Key:
    """What letters of one group share. ``place`` is e-conomic's property, else the first field of ours."""

    cause: str
    error_code: str | None
    place: str | None
    agreement_number: int | None

    @property
    def id(self) -> str:
        """A short name for commands: always the same for the same four."""
        text = "\x1f".join(str(part) for part in (self.cause, self.error_code, self.place, self.agreement_number))
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Document:
    """What an event was about: an invoice by Pike's id and title, a record by e-conomic's number."""

    letter_id: UUID
    kind: str
    id: str | None = None
    number: str | None = None
    title: str | None = None

    @property
    def name(self) -> str:
        """A few words for a list."""
        named = f' "{self.title}"' if self.title else ""
        return f"{self.kind} {self.number or self.id or '?'}{named}"


@dataclass
class Group:
    """Letters with one cause. Sentence and remedy are those of the newest."""

    key: Key
    user_message: str
    remedy: str
    oldest: datetime
    count: int = 0
    workspaces: set[str] = field(default_factory=set)
    documents: list[Document] = field(default_factory=list)


def key_of(letter: DeadLetter, agreements: Mapping[str, int]) -> Key:
    """Return the group that a letter belongs to; ``agreements`` gives the agreement of each workspace."""
    economic = letter.problem.get("economic") or {}
    fields = letter.problem.get("fields") or [None]
    place = economic.get("property") or fields[0]
    return Key(
        letter.cause,
        economic.get("error_code"),
        _INDEX.sub("[]", place) if place else None,
        agreements.get(letter.workspace_id or ""),
    )


async def group(letters: AsyncIterable[DeadLetter], agreements: Mapping[str, int]) -> list[Group]:
    """Group letters that come oldest first; the largest group is the first."""
    groups: dict[Key, Group] = {}
    async for letter in letters:
        key = key_of(letter, agreements)
        known = groups.setdefault(key, Group(key, "", "", letter.received_at))
        known.user_message = letter.problem.get("user_message", "")
        known.remedy = letter.problem.get("remedy", "")
        known.oldest = min(known.oldest, letter.received_at)
        known.count += 1
        known.workspaces.add(letter.workspace_id or "?")
        if len(known.documents) < _SHOWN:
            known.documents.append(document_of(letter))
    return sorted(groups.values(), key=lambda each: (-each.count, each.oldest))


def document_of(letter: DeadLetter) -> Document:
    """Read from the stored body what an event was about, as far as it can be read."""
    data = _data(letter)
    invoice = data.get("invoice")
    if isinstance(invoice, dict):
        return Document(letter.id, "invoice", id=_text(invoice.get("id")), title=_text(invoice.get("title")))
    if isinstance(data.get("entity"), str):
        number = _text(data.get("external_number"))
        return Document(letter.id, data["entity"][:40], id=_text(data.get("id")), number=number)
    if isinstance(data.get("entities"), list):
        return Document(letter.id, "import", id=letter.event_id, title=", ".join(map(str, data["entities"][:5])))
    kind = (letter.type or "event").removeprefix("pike.").partition(".")[0]
    return Document(letter.id, kind, id=_text(data.get("id")) or letter.event_id)


def _data(letter: DeadLetter) -> dict[str, Any]:
    """Return the event's data; in binary mode the body is the data."""
    try:
        event = json.loads(letter.body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(event, dict):
        return {}
    data = event.get("data") if "specversion" in event or "data" in event else event
    return data if isinstance(data, dict) else {}


def _text(value: object) -> str | None:
    return str(value)[:100] if isinstance(value, str | int) else None
