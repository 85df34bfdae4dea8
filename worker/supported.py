"""Which versions of what surrounds a worker it is made for."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Supported:
    """A range of versions. ``last`` is the newest that was thought of: beyond it nobody has looked."""

    what: str
    first: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def told(self) -> str:
        """The range in words: ``3.10 – 4``."""
        return f"{_text(self.first)} – {_text(self.last)}"

    def complaint(self, version: str) -> tuple[str, str] | None:
        """Return what is wrong with a version and what to do, ``None`` when nothing is."""
        found = tuple(int(part) for part in re.findall(r"\d+", version)[: len(self.first)])
        if not found:
            return f"{self.what} does not say its version", f"Check that it is {self.what} {self.told}."
        if found < self.first:
            return f"{self.what} {version} is too old", f"Use {self.what} {self.told}."
        if found[: len(self.last)] > self.last:
            return (
                f"{self.what} {version} is newer than what this version was made for",
                f"Use {self.what} {self.told}, or try it out in a test environment and look for a newer pike-economic.",
            )
        return None

    def too_old(self, version: str) -> bool:
        """Whether a worker must not start with it."""
        complaint = self.complaint(version)
        return complaint is not None and complaint[0].endswith("too old")


POSTGRES = Supported("Postgres", (14,), (18,))
RABBITMQ = Supported("RabbitMQ", (3, 10), (4,))
PYTHON = Supported("Python", (3, 11), (3, 14))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
