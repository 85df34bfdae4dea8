"""Sealing grant tokens: AES-256-GCM with the key's id stored beside it and the row bound in.

A sealed token copied to another row, column or table does not open. Keys come as ``id:base64`` pairs; the first
one seals, all of them open, so that keys can be rotated while the worker runs.
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

    def seal(self, token: SecretStr, row: UUID) -> Sealed:
        """Encrypt a grant token for this row of ``economic.connections``."""
        nonce = os.urandom(_NONCE_BYTES)
        text = token.get_secret_value().encode()
        return Sealed(self.current, nonce + self._keys[self.current].encrypt(nonce, text, _bound_to(row)))

    def open(self, sealed: Sealed, row: UUID) -> SecretStr:
        """Decrypt. Raises ``CannotOpen``; its text names the row and the key id only."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise CannotOpen(f"connection {row} was sealed with key '{sealed.key_id}', which is not in the settings")
        nonce, data = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            return SecretStr(key.decrypt(nonce, data, _bound_to(row)).decode())
        except InvalidTag as exc:
            raise CannotOpen(f"the grant of connection {row} does not open with key '{sealed.key_id}'") from exc


def _bound_to(row: UUID) -> bytes:
    return f"economic.connections|grant_sealed|{row}".encode()
