"""Charts as inline SVG, drawn by pygal. Our style sheet gives them their colours, so that both themes fit.

What pygal adds for pages of its own (styles, scripts, tooltips) is taken out: the pages' policy would refuse it. A
chart is drawn in a thread and kept, so that the same figures are drawn once.
"""

import asyncio
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from worker.web import words

WIDTH, HEIGHT = 520, 210
"""In units of the drawing: about the pixels that a chart has on a desktop, two beside each other."""

KEPT = 256
COLOURS = 6
"""``console.css`` has as many; more series begin again with the first."""

_FEW = 5
_NOT_OURS = frozenset({"defs", "script", "style", "title", "desc"})
_UNITS: Mapping[str, Callable[[float], str]] = {
    "": words.count,
    "s": words.span,
    "%": words.share,
    "money": lambda value: f"{value:,.0f}",
}


@dataclass(frozen=True, slots=True)
class Series:
    """A line, or the bars of one colour. Lines have ``(x, y)`` points; bars have one value per label."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Chart(ABC):
    """What the kinds of chart share. ``summary`` says in a sentence what is seen: it is read out instead of the chart.

    ``unit`` is one of "", "s" (seconds), "%" (shares of one) and "money".
    """

    title: str
    summary: str
    series: tuple[Series, ...]
    unit: str = ""

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Colour numbers and names, when there is more than one series."""
        named = [(place % COLOURS, each.name) for place, each in enumerate(self.series)]
        return named if len(named) > 1 else []

    @abstractmethod
    def plotted(self) -> Any:
        """Return pygal's chart."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(each.values for each in self.series)


@dataclass(frozen=True, slots=True)
class Lines(Chart):
    """Values over time: ``(datetime, float)`` points; ``None`` as a value leaves a gap."""

    fill: bool = False

    def plotted(self) -> Any:
        """Return pygal's chart."""
        times = [point[0] for series in self.series for point in series.values]
        # not pygal's DateTimeLine: it reads times with a function that Python 3.12 warns of
        drawn = _pygal().XY(
            **_common(self) | _whole_steps(self), fill=self.fill, show_dots=False, allow_interruptions=True,
            x_labels=_ticks(min(times), max(times)) if times else [], x_value_formatter=_hour_and_minute,
        )  # fmt: skip
        for series in self.series:
            drawn.add(series.name, [(at.timestamp(), _number(value)) for at, value in series.values])
        return drawn


@dataclass(frozen=True, slots=True)
class Bars(Chart):
    """Values per label. Sideways they suit names, upright they suit months."""

    labels: tuple[str, ...] = ()
    stacked: bool = False
    sideways: bool = False

    def plotted(self) -> Any:
        """Return pygal's chart."""
        kind = ("Horizontal" if self.sideways else "") + ("StackedBar" if self.stacked else "Bar")
        common = _common(self)
        if self.sideways:
            rows = len(self.labels) * (1 if self.stacked else len(self.series))
            common["height"] = max(HEIGHT, 60 + 26 * rows)
        drawn = getattr(_pygal(), kind)(**common)
        # pygal counts from below
        way = -1 if self.sideways else 1
        drawn.x_labels = list(self.labels)[::way]
        for series in self.series:
            drawn.add(series.name, [_number(value) for value in series.values][::way])
        return drawn


async def draw(chart: Chart) -> Markup:
    """Return a chart's SVG."""
    return await asyncio.to_thread(_drawn, chart)


@lru_cache(KEPT)
def _drawn(chart: Chart) -> Markup:
    root = chart.plotted().render_tree()
    _strip(root)
    name = f"chart-{abs(hash(chart)):x}"
    for tag, text in (("desc", chart.summary), ("title", chart.title)):
        element = ElementTree.Element(tag, id=f"{name}-{tag}")
        element.text = text
        root.insert(0, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    root.attrib.pop("id", None)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  # every text was escaped right here


def _strip(root: ElementTree.Element) -> None:
    """Leave only shapes, texts and classes."""
    for parent in [*root.iter()]:
        for child in [*parent]:
            comment = not isinstance(child.tag, str)
            if comment or child.tag in _NOT_OURS or "overlay" in child.get("class", ""):
                parent.remove(child)
        for name in [name for name in parent.attrib if name == "style" or name.startswith("on")]:
            del parent.attrib[name]


def _common(chart: Chart) -> dict[str, Any]:
    return {
        "js": [],
        "css": [],
        "style": _measures(),
        "width": WIDTH,
        "height": HEIGHT,
        "show_legend": False,  # ours is HTML, beside the chart
        "margin": 6,
        "margin_right": 26,  # half a label
        "spacing": 8,
        "no_prefix": True,
        "pretty_print": False,
        "print_values": False,
        "truncate_label": -1,
        "show_minor_x_labels": True,
        "include_x_axis": True,
        "min_scale": 3,
        "max_scale": 5,
        "value_formatter": _UNITS[chart.unit],
        "no_data_text": "Nothing yet",
    }


def _whole_steps(chart: Lines) -> dict[str, Any]:
    """Return labels for an axis of few things: there is no half event."""
    values = [value for series in chart.series for _, value in series.values if value is not None]
    top = max(1, math.ceil(max(values, default=0)))
    return {"y_labels": list(range(top + 1)), "range": (0, top)} if not chart.unit and top <= _FEW else {}


def _ticks(first: datetime, last: datetime) -> list[float]:
    """Return up to five times, evenly spread, a minute apart at least: they are written to the minute."""
    steps = min(4, int((last - first).total_seconds() // 60)) or 1
    return [(first + (last - first) * step / steps).timestamp() for step in range(steps + 1)]


def _hour_and_minute(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%H:%M}"


def _number(value: Any) -> float | None:
    return float(value) if value is not None else None


@cache
def _pygal() -> Any:
    import pygal  # late: it takes longer to import than all the rest, and most processes draw nothing

    # It puts itself into every later import of the process, to find map plugins that we have none of.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]
    return pygal


@cache
def _measures() -> Any:
    """The sizes of letters, by which pygal leaves room; the looks are ours."""
    return _pygal().style.Style(label_font_size=13, major_label_font_size=13, no_data_font_size=15)
