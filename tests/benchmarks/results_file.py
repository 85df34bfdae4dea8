"""The benchmarks' answers: a table for people and one JSON list per section, with the targets beside the figures."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Measured:
    """One figure. ``ratio`` is value over reference; ``target`` is what the ratio (or the value) should reach."""

    measure: str
    value: float
    unit: str
    reference: str | None = None
    reference_value: float | None = None
    target: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Return value over reference."""
        return self.value / self.reference_value if self.reference_value else None


def keep(section: str, figures: Sequence[Measured]) -> Path:
    """Print the table and write the section's file; returns its path."""
    for figure in figures:
        print(line(figure))
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{section}.json"
    rows = [asdict(figure) | {"ratio": None if figure.ratio is None else round(figure.ratio, 3)} for figure in figures]
    path.write_text(json.dumps(rows, indent=2) + "\n")
    return path


def line(figure: Measured) -> str:
    """Return a figure as a line of the table."""
    beside = f"   {figure.ratio:5.2f} × {figure.reference}" if figure.ratio is not None else ""
    verdict = {True: "reached", False: "NOT reached", None: ""}[figure.met]
    aim = f"   target {figure.target}: {verdict}" if figure.target else ""
    return f"{figure.measure:44} {figure.value:10.1f} {figure.unit}{beside}{aim}"


def whole(sections: Iterable[str]) -> Iterator[str]:
    """Return the table of several sections as they were kept last."""
    for section in sections:
        path = FOLDER / f"{section}.json"
        if path.exists():
            yield f"— {section}"
            for row in json.loads(path.read_text()):
                yield line(Measured(**{name: value for name, value in row.items() if name != "ratio"}))
