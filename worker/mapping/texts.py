"""Texts between the two sides: line breaks, control characters and lengths. Nothing is ever cut."""

import re

_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
_BETWEEN_ADDRESSES = re.compile(r"[\s;,]+")
_TRAILING = re.compile(r"[^\S\n]+(?=\n|\Z)")


def block(text: str | None) -> str | None:
    """Return a text of one or more lines: breaks are ``\\n``, tabs are spaces, ends are stripped; empty is ``None``.

    e-conomic returns ``\\r``, ``\\r\\n`` and tabs inside addresses and descriptions. Control characters and halves
    of surrogate pairs, which no database takes, are left out.
    """
    if text is None:
        return None
    if text.isprintable():  # nearly every text: no break, no control character, no other space than the plain one
        return text.strip() or None
    plain = _CONTROL.sub("", _BREAK.sub("\n", text)).replace("\t", " ")
    return _TRAILING.sub("", plain).strip() or None


def line(text: str | None) -> str | None:
    """Return a text of one line: every run of white space is one space; empty is ``None``."""
    plain = block(text)
    if plain and "  " not in plain and plain.isprintable():
        return plain
    return _SPACES.sub(" ", plain) if plain else None


def first_line(text: str | None) -> str | None:
    """Return the first line that is not empty."""
    plain = block(text)
    return line(plain.split("\n", 1)[0]) if plain else None


def first_address(text: str | None) -> str | None:
    """Return the first e-mail address of a list; e-conomic separates by spaces, people also by ``;`` and ``,``."""
    if not text:
        return None
    for part in _BETWEEN_ADDRESSES.split(text):
        address = _CONTROL.sub("", part).strip("<>")
        if "@" in address:
            return address
    return None
