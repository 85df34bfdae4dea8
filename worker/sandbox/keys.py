"""The legacy service's private spelling of key characters inside URL paths (restdocs.e-conomic.com).

A product numbered ``A/B 1`` lives at ``/products/A_6_B_9_1``; whatever is left is percent-encoded.
"""

import re
from urllib.parse import quote, unquote

_SPECIAL = "<>*%:&/\\_ ?.#+"
_ENCODE = str.maketrans({char: f"_{index}_" for index, char in enumerate(_SPECIAL)})
_CODE = re.compile(r"_(\d{1,2})_")


def encode_key(key: object) -> str:
    """Return the path segment of a key."""
    return quote(str(key).translate(_ENCODE), safe="")


def _decoded(match: re.Match[str]) -> str:
    index = int(match[1])
    return _SPECIAL[index] if index < len(_SPECIAL) else match[0]


def decode_key(segment: str) -> str:
    """Return the key that a path segment names; plain percent-encoding is understood as well."""
    return _CODE.sub(_decoded, unquote(segment))
