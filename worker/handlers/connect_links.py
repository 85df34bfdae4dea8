"""Signed texts that travel through browsers: Pike's link that starts connecting, and the state that comes back.

Pure functions over a shared key. A forged or altered text is refused before anything else is looked at.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode
from uuid import UUID

LINK_LIFE_S = 900
"""How far in the future a link may expire, in seconds: a link is made when somebody presses the button."""

_FIELDS = frozenset({"by", "expires", "nonce", "signature"})
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Link:
    """What Pike vouches for: this person may connect this workspace, once, soon. ``expires``: Unix seconds."""

    workspace_id: str
    by: str
    expires: int
    nonce: str


class BadLink(Exception):
    """The link is not one of Pike's ('forged'), or too old ('expired'). ``str`` is that word."""


def sign(link: Link, key: bytes) -> str:
    """Return the signature: HMAC-SHA256 in hex over a fixed word and the four fields, one a line."""
    text = "\n".join(("pike-economic connect", link.workspace_id, link.by, str(link.expires), link.nonce))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def address(public_url: str, link: Link, key: bytes) -> str:
    """Return the address that Pike opens in the popup."""
    query = {"by": link.by, "expires": link.expires, "nonce": link.nonce, "signature": sign(link, key)}
    return f"{public_url}/connect/{quote(link.workspace_id, safe='')}?{urlencode(query)}"


def read(workspace_id: str, query: Mapping[str, str], keys: Sequence[bytes], now: float) -> Link:
    """Return the link, if any of the keys signed exactly this. Raises ``BadLink``.

    Fields that nobody signed are refused too: whoever adds one wants something, such as another way back.
    """
    texts = [workspace_id, *query.values()]
    if set(query) != _FIELDS or any(len(text) > _MAX_TEXT or not text.isprintable() for text in texts):
        raise BadLink("forged")
    if not query["expires"].isascii() or not query["expires"].isdigit() or not workspace_id or not query["nonce"]:
        raise BadLink("forged")
    link = Link(workspace_id, query["by"], int(query["expires"]), query["nonce"])
    given = query["signature"].encode()
    # every key is tried, so that the time taken does not tell which one fits
    if not any([hmac.compare_digest(sign(link, key).encode(), given) for key in keys]):  # noqa: C419
        raise BadLink("forged")
    if not now < link.expires <= now + LINK_LIFE_S:
        raise BadLink("expired")
    return link


def new_state(attempt: UUID, key: bytes) -> str:
    """Return a state for one trip to e-conomic: the attempt, something nobody can guess, and a signature."""
    body = attempt.bytes + secrets.token_bytes(16)
    return _text(body + _state_mark(body, key))


def attempt_of(state: str, keys: Sequence[bytes]) -> UUID:
    """Return the attempt of a state that we made. Raises ``BadLink``, without a look into the database."""
    try:
        raw = base64.b64decode(state.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadLink("forged") from None
    body, mark = raw[:32], raw[32:]
    if len(raw) != 64 or not any([hmac.compare_digest(_state_mark(body, key), mark) for key in keys]):  # noqa: C419
        raise BadLink("forged")
    return UUID(bytes=body[:16])


def fingerprint(text: str) -> bytes:
    """Return the hash by which a state, a cookie or a session is known at rest; each is long and random."""
    return hashlib.sha256(text.encode()).digest()


def _state_mark(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, b"pike-economic state\n" + body, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
