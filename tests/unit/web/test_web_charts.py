"""Charts: SVG that the pages' policy lets through, that is read out, and that says nothing it was not given."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from worker.web.console.charts import Bars, Chart, Lines, Series, draw

SINCE = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)
EVIL = '<script>alert(1)</script>" onload="x'


def lines(*values: float | None, name: str = "work", title: str = "Waiting", unit: str = "") -> Lines:
    points = tuple((SINCE + timedelta(minutes=place), value) for place, value in enumerate(values))
    return Lines(title, "Now 3.", (Series(name, points),), unit)


CHARTS = [
    lines(0, 1, 5, None, 2),
    lines(),
    lines(7),
    lines(0, 0, 0),
    lines(3600, 7200, unit="s"),
    Bars("Revenue", "12 in all.", (Series("DKK", (1, 2.5, None)),), "money", labels=("Jan", "Feb", "Mar")),
    Bars("Customers", "x", (Series("a", (1, 2)), Series("b", (3, 4))), labels=("A", "B"), sideways=True),
    Bars("Ages", "x", (Series("a", (1, 2)), Series("b", (3, 4))), labels=("A", "B"), stacked=True, sideways=True),
    Bars("Nothing", "Nothing.", (Series("a", ()),), labels=()),
    Bars(EVIL, EVIL, (Series(EVIL, (1,)),), labels=(EVIL,)),
]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: f"{type(chart).__name__} {chart.title[:9]}")
async def test_a_chart_is_shapes_and_texts_only_with_name_and_summary(chart: Chart) -> None:
    svg = await draw(chart)
    root = ElementTree.fromstring(svg)
    tags = {element.tag for element in root.iter()}
    assert tags <= {f"{{http://www.w3.org/2000/svg}}{tag}" for tag in ("svg", "g", "path", "rect", "text", "title",
                                                                        "desc", "line", "circle")}  # fmt: skip
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name == "style" or name.startswith("on") or "href" in name}
    name, desc = (root.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc"))
    assert name is not None
    assert desc is not None
    assert (name.text, desc.text) == (chart.title, chart.summary)
    assert root.attrib["aria-labelledby"] == f"{name.attrib['id']} {desc.attrib['id']}"
    assert root.attrib["role"] == "img"


async def test_equal_figures_are_drawn_once() -> None:
    assert await draw(lines(1, 2, 3)) is await draw(lines(1, 2, 3))


async def test_a_line_goes_where_its_values_are() -> None:
    path = re.search(r'class="series[^>]*><path d="M([^"]+)"', await draw(lines(0, 10, 5)))
    assert path is not None
    heights = [float(number) for number in path[1].replace("L", "").split()][1::2]
    assert heights[1] < heights[2] < heights[0]  # from above


def test_a_legend_is_for_several_series() -> None:
    assert lines(1).legend == []
    assert CHARTS[6].legend == [(0, "a"), (1, "b")]
    assert (lines().empty, lines(1).empty) == (True, False)


def test_drawing_leaves_no_finder_of_an_old_kind_in_the_imports_of_the_process() -> None:
    """pygal puts one there for map plugins; Python 3.11 warns at every later import that gets as far as it."""
    script = (
        "import sys; from worker.web.console import charts; charts._pygal(); charts._measures(); "
        "print('pygal' in sys.modules, [each for each in sys.meta_path if not hasattr(each, 'find_spec')])"
    )
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "True []"
