"""Removing secrets, in one place: from logs, exceptions, dead letters, and from what e-conomic answers."""

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from pydantic import SecretStr

_REDACTED = "[redacted]"
_SHORTEST = 8
"""Shorter values are too common a piece of ordinary text."""

_SECRET_KEY = re.compile(r"token|secret|password|authorization|encryption_key", re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(
    r"(?P<name>(?:X-AppSecretToken|X-AgreementGrantToken|Authorization|(?<![a-z])(?:agreementGrant)?token)[\"']?\s*[=:]\s*)"
    r"(?:Bearer\s+)?[\"']?[A-Za-z0-9_\-.~+/]{12,}=*",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]+:)[^\s@/]+@", re.IGNORECASE)


class Redactor:
    """Removes secrets from log records: by key name, by URL password, and by known values."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def learn(self, values: Iterable[str]) -> None:
        """Remember values that must never be printed, whatever key they stand under."""
        self._values.update(value for value in values if len(value) >= _SHORTEST)

    def text(self, text: str) -> str:
        """Return the text without URL passwords, known secrets, and what follows the name of a token."""
        text = _URL_PASSWORD.sub(rf"\g<scheme>{_REDACTED}@", text)
        text = _SECRET_IN_TEXT.sub(rf"\g<name>{_REDACTED}", text)
        for value in self._values:
            if value in text:
                text = text.replace(value, _REDACTED)
        return text

    def __call__(self, _logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Act as a structlog processor."""
        return {key: self._clean(key, value) for key, value in record.items()}

    def _clean(self, key: str, value: Any) -> Any:
        if _SECRET_KEY.search(key) and key != "event":
            return _REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._clean(str(name), item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean("", item) for item in value]
        if value is None or isinstance(value, bool | int | float) or key == "exc_info":
            return value
        return self.text(str(value))  # whatever it is, it is printed as its text


REDACTOR = Redactor()
"""The process's redactor; settings teach it their secrets."""


def scrub(body: bytes, *secrets: SecretStr) -> bytes:
    """Return an answer without the secrets of its request, should the other side have echoed them.

    From here on nobody could tell them from e-conomic's own words, which people are shown.
    """
    for secret in secrets:
        value = secret.get_secret_value().encode()
        if len(value) >= _SHORTEST and value in body:
            body = body.replace(value, _REDACTED.encode())
    return body
