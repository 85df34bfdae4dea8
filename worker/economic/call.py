"""What a request to e-conomic is made of: the call in business words, the grant it is made with, and its address."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

from pydantic import SecretStr

from worker.economic.limiter import Usage
from worker.errors import WorkerError

Surface = Literal["legacy", "openapi"]


class WrongOrigin(WorkerError):
    """An address lies outside the configured origins: the tokens are not sent there."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request in the making.

    ``what`` names it for people and may hold numbers (``customer 7``); ``family`` is its label in logs and never does.
    ``secrets`` are those that the body holds, for they must not come back with an answer that quotes it.
    """

    method: str
    surface: Surface
    path: str
    what: str
    family: str
    query: Mapping[str, str] | None = None
    body: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    secrets: tuple[SecretStr, ...] = ()

    @property
    def safe(self) -> bool:
        """Return whether the call may be repeated without asking."""
        return self.method == "GET"


@dataclass(frozen=True, slots=True)
class Grant:
    """One agreement's access, with the count of what was used through it. Its text never shows the token."""

    token: SecretStr
    agreement_number: int | None
    usage: Usage = field(default_factory=Usage)
    bulk: bool = False
    """Whether the calls belong to an import."""

    @property
    def budget(self) -> str:
        """Return the name of the budget its calls are paid from."""
        if self.agreement_number is not None:
            return str(self.agreement_number)
        return hashlib.sha256(self.token.get_secret_value().encode()).hexdigest()[:16]


class Addresses:
    """The two surfaces' base addresses; everything else is out of bounds for the tokens."""

    def __init__(self, legacy_url: str, openapi_url: str) -> None:
        self._bases: dict[Surface, str] = {"legacy": legacy_url.rstrip("/"), "openapi": openapi_url.rstrip("/")}
        self._origins = {_origin(base) for base in self._bases.values()}

    def url_of(self, call: Call) -> str:
        """Return the call's address, wholly encoded: the service half-applies a filter whose "&" it sees."""
        url = self._bases[call.surface] + call.path
        if call.query:
            url += "?" + urlencode(call.query, quote_via=quote, safe="")
        if not call.path.startswith("/"):  # with a slash the path cannot reach into the base's host and port
            self.check(url)
        return url

    def check(self, url: str) -> None:
        """Raise ``WrongOrigin`` for an address that tokens must not be sent to, such as a link in an answer."""
        if _origin(url) not in self._origins:
            raise WrongOrigin(f"refused to call {urlsplit(url).hostname}: tokens are sent to e-conomic only")


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port. Raises ``WrongOrigin`` for what is no web address."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as exc:
        raise WrongOrigin("refused to call an address that cannot be read") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongOrigin(f"refused to call an address with scheme {parts.scheme!r}: not a web address")
    return parts.scheme, parts.hostname.lower(), port
