"""Lists of server addresses, as a setting holds them."""

import re

_NEXT = re.compile(r",(?=amqps?://)")


def split_urls(text: str) -> list[str]:
    """Return the AMQP URLs of a list separated by commas. A comma inside one, in a password, does not separate."""
    return [part.strip() for part in _NEXT.split(re.sub(r",\s+", ",", text.strip()).rstrip(","))]
