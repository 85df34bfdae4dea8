"""Keys inside legacy URL paths: a private escape scheme, then URL encoding (restdocs.e-conomic.com)."""

from urllib.parse import quote

_ESCAPES = {
    "<": "_0_",
    ">": "_1_",
    "*": "_2_",
    "%": "_3_",
    ":": "_4_",
    "&": "_5_",
    "/": "_6_",
    "\\": "_7_",
    "_": "_8_",
    " ": "_9_",
    "?": "_10_",
    ".": "_11_",
    "#": "_12_",
    "+": "_13_",
}


def path_key(key: str | int) -> str:
    """Encode a key for a legacy path: ``My Product_5%`` → ``My_9_Product_8_5_3_``.

    Raises ValueError for an empty key: the path would be that of the whole list.
    """
    text = str(key)
    if isinstance(key, int):
        return text  # digits, as nearly all keys are
    if not text:
        raise ValueError("an empty key has no address")
    return quote("".join(_ESCAPES.get(character, character) for character in text), safe="")
