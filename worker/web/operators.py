"""Who may operate, and as what: read from ``OPERATOR_TOKENS``. Tokens are kept and compared as hashes only.

An entry is ``name:token``, ``name/viewer:token``, or with ``sha256$<hex>`` in place of the token, so that the setting
itself holds no secret. Tokens are long and random (``pike-economic operator-token``), which is what makes a plain hash
enough: there is nothing to guess.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from worker.errors import SettingsError

MIN_TOKEN = 20
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_HASH = re.compile(r"sha256\$[0-9a-f]{64}")


class Role(IntEnum):
    """What an operator may do; each includes the ones before."""

    VIEWER = 1  # look
    OPERATOR = 2  # act


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator."""

    name: str
    role: Role
    token_hash: bytes = field(repr=False)


class Operators:
    """All operators of this installation."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self._operators = tuple(operators)

    @classmethod
    def parse(cls, text: str) -> "Operators":
        """Read the setting. Raises ``SettingsError`` naming the entry by its place, never a token."""
        found: list[Operator] = []
        for place, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
            who, colon, token = entry.partition(":")
            name, _, role = who.partition("/")
            if not colon or not _NAME.fullmatch(name) or role.upper() not in ("", *Role.__members__):
                raise SettingsError(f"entry {place} must be name:token, name/viewer:token or name/operator:token")
            if name in {operator.name for operator in found}:
                raise SettingsError(f"entry {place} repeats a name")
            if not _HASH.fullmatch(token) and len(token) < MIN_TOKEN:
                raise SettingsError(
                    f"entry {place} has a token of fewer than {MIN_TOKEN} characters "
                    "(make one with: pike-economic operator-token)"
                )
            found.append(Operator(name, Role[role.upper() or "OPERATOR"], _digest_in(token)))
        return cls(found)

    def __len__(self) -> int:
        return len(self._operators)

    def find(self, token: str) -> Operator | None:
        """Return whose token it is. All are compared, in constant time, whoever it is."""
        return self._find(hashlib.sha256(token.encode()).digest())

    def still(self, name: str, token_hash: bytes) -> Operator | None:
        """Return the operator of a session, while the setting still has that name with that token."""
        found = self._find(token_hash)
        return found if found is not None and found.name == name else None

    def _find(self, digest: bytes) -> Operator | None:
        found = None
        for operator in self._operators:
            if hmac.compare_digest(operator.token_hash, digest):
                found = operator
        return found


def _digest_in(token: str) -> bytes:
    if _HASH.fullmatch(token):
        return bytes.fromhex(token.removeprefix("sha256$"))
    return hashlib.sha256(token.encode()).digest()
