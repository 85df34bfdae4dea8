"""What a list is narrowed to: read from the address, checked, and written back into links and forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web

MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """Chosen values by name; a name without a value narrows nothing."""

    path: str
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, request: web.Request, names: Sequence[str]) -> "Filters":
        """Take the known names from the address; what is overlong or unprintable counts as not given."""
        found = {}
        for name in names:
            value = request.query.get(name, "").strip()
            if value and len(value) <= MAX_LENGTH and value.isprintable():
                found[name] = value
        return cls(request.path, found)

    def __bool__(self) -> bool:
        return bool(self.values)

    def get(self, name: str) -> str | None:
        """Return the chosen value."""
        return self.values.get(name)

    def one_of(self, name: str, known: Sequence[str]) -> str | None:
        """Return the chosen value if it is one of these."""
        value = self.values.get(name)
        return value if value in known else None

    def address(self, **changes: str | None) -> str:
        """Return the list's address with these values changed, and from its first page; ``None`` takes one away."""
        values = {name: value for name, value in {**self.values, **changes}.items() if value}
        return f"{self.path}?{urlencode(values)}" if values else self.path
