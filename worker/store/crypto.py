"""Sealing grant tokens in envelopes: AES-256-GCM, the master key's id stored beside it and the row bound in.

Each token has a data key of its own, which the master key seals: a master key is used for few bytes, and never on what
strangers choose. A sealed token copied to another row, column or table does not open. Keys come as ``id:base64``
pairs; the first one seals, all of them open, so that keys can be rotated while the worker runs.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from worker.errors import SettingsError, WorkerError

_NONCE_BYTES = 12
_KEY_BYTES = 32
_WRAPPED_BYTES = _NONCE_BYTES + _KEY_BYTES + 16
_ENVELOPE = b"PE2\x00"
"""What envelopes begin with. Tokens without it were sealed by the version before, with the master key itself."""

GRANT = "economic.connections|grant_sealed"
"""Where a connection's grant lies; part of what is authenticated."""

ATTEMPT = "economic.connect_attempts|grant_sealed"
"""Where a grant lies until the person has confirmed it."""

HOOK = "economic.hook_receivers|secret_sealed"
"""Where the secret of a connection's webhooks lies; its row is the connection's."""


class CannotOpen(WorkerError):
    """A sealed token does not open: unknown key id, or it was altered or moved to another row."""


@dataclass(frozen=True)
class Sealed:
    """A token as it lies in the database."""

    key_id: str
    data: bytes = field(repr=False)


class Vault:
    """Seals and opens tokens."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise SettingsError("no encryption key is given")
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "Vault":
        """Read ``id:base64,id2:base64``. Raises ``SettingsError`` naming the entry, never the key."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(text.split(","), start=1):
            key_id, _, encoded = entry.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not key_id or len(key) != _KEY_BYTES:
                raise SettingsError(
                    f"entry {number} must be id:base64 with exactly {_KEY_BYTES} random bytes "
                    "(make one with: openssl rand -base64 32)"
                )
            if key_id in keys:
                raise SettingsError(f"entry {number} repeats a key id")
            keys[key_id] = key
        return cls(keys)

    def seal(self, token: SecretStr, row: UUID, place: str = GRANT) -> Sealed:
        """Encrypt a grant token for this row of this place."""
        bound, data_key = _bound_to(place, row), AESGCM.generate_key(bit_length=8 * _KEY_BYTES)
        wrapped = _encrypt(self._keys[self.current], data_key, bound)
        text = token.get_secret_value().encode()
        return Sealed(self.current, _ENVELOPE + wrapped + _encrypt(AESGCM(data_key), text, bound))

    def open(self, sealed: Sealed, row: UUID, place: str = GRANT) -> SecretStr:
        """Decrypt. Raises ``CannotOpen``; its text names the row and the key id only."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise CannotOpen(f"connection {row} was sealed with key '{sealed.key_id}', which is not in the settings")
        try:
            return SecretStr(_open(key, sealed.data, _bound_to(place, row)).decode())
        except InvalidTag as exc:
            raise CannotOpen(f"the grant of connection {row} does not open with key '{sealed.key_id}'") from exc


def _open(key: AESGCM, data: bytes, bound: bytes) -> bytes:
    if not data.startswith(_ENVELOPE):
        return _decrypt(key, data, bound)
    inside = data[len(_ENVELOPE) :]
    data_key = AESGCM(_decrypt(key, inside[:_WRAPPED_BYTES], bound))
    return _decrypt(data_key, inside[_WRAPPED_BYTES:], bound)


def _encrypt(key: AESGCM, text: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, text, bound)


def _decrypt(key: AESGCM, data: bytes, bound: bytes) -> bytes:
    if len(data) < _NONCE_BYTES + 16:
        raise InvalidTag
    return key.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)


def _bound_to(place: str, row: UUID) -> bytes:
    return f"{place}|{row}".encode()
