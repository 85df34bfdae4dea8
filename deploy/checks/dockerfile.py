"""Reads a Dockerfile and its ignore file, as far as ours need it. What is not understood is an error, never skipped."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from string import Template

KNOWN = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("RUN", "STOPSIGNAL", "USER", "WORKDIR"),
}


class NotUnderstood(Exception):
    """The file says something that is not carried out here."""


@dataclass(frozen=True)
class Instruction:
    """One instruction with everything behind its keyword, continued lines joined."""

    keyword: str
    rest: str

    def words(self, values: Mapping[str, str]) -> list[str]:
        """Return the words with ``$NAME`` replaced; an unknown name becomes nothing, as in Docker."""
        return shlex.split(replaced(self.rest, values))

    def listed(self) -> list[str]:
        """Return the exec form. Raises ``NotUnderstood`` for the shell form, which needs a shell in the image."""
        try:
            found = json.loads(self.rest[self.rest.index("[") :])
        except ValueError:
            raise NotUnderstood(f'{self.keyword} must have the exec form ["…"], has: {self.rest}') from None
        return [str(word) for word in found]


def replaced(text: str, values: Mapping[str, str]) -> str:
    """Replace ``$NAME`` and ``${NAME}``."""

    class Known(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return ""

    return Template(text).substitute(Known(values))


def parse(text: str) -> list[Instruction]:
    """Return the instructions in order. Raises ``NotUnderstood``."""
    instructions = []
    for line in _joined(text):
        keyword, _, rest = line.partition(" ")
        if keyword.upper() not in KNOWN or "<<" in rest:
            raise NotUnderstood(line)
        instructions.append(Instruction(keyword.upper(), rest.strip()))
    return instructions


def _joined(text: str) -> Iterator[str]:
    whole = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not (line.strip() or whole):
            continue
        whole += line.strip().removesuffix("\\") + " " if line.rstrip().endswith("\\") else line.strip()
        if not line.rstrip().endswith("\\"):
            yield whole.strip()
            whole = ""


@dataclass(frozen=True)
class Context:
    """What gets to the builder: a list of what is let through, behind a first line that ignores everything."""

    root: Path
    allowed: tuple[str, ...]
    ignored: tuple[str, ...]

    @classmethod
    def read(cls, root: Path, ignore_file: Path) -> "Context":
        """Read the ignore file. Raises ``NotUnderstood`` when it is no such list."""
        lines = [line.strip() for line in ignore_file.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if lines[:1] != ["*"]:
            raise NotUnderstood(f"{ignore_file.name} must begin with * and name what is let through")
        allowed = tuple(line[1:] for line in lines if line.startswith("!"))
        return cls(root, allowed, tuple(line for line in lines[1:] if not line.startswith("!")))

    def files(self, source: str) -> list[Path]:
        """Return the files under ``source`` that get through, relative to the root. None is ``NotUnderstood``."""
        start = self.root / source
        found = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
        through = [path.relative_to(self.root) for path in found if self._lets(path.relative_to(self.root))]
        if not through:
            raise NotUnderstood(f"COPY {source}: nothing of it gets through the ignore file")
        return through

    def _lets(self, path: Path) -> bool:
        inside = [str(path), *(str(parent) for parent in path.parents)]
        if not any(name in self.allowed for name in inside):
            return False
        return not any(fnmatch(name, pattern.removeprefix("**/")) for pattern in self.ignored for name in path.parts)
