"""Filters, pages by key and the way values are written: what every list of the console stands on."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from worker.web import words
from worker.web.console.filters import Filters
from worker.web.console.paging import Edge, Slice

ROWS = [f"{number:03}" for number in range(10)]
SIZE = 4


def store(edge: Edge | None) -> list[str]:
    """Stand in for a store function: oldest last, one row more than a page."""
    rows = ROWS
    if edge and edge.backwards:
        rows = [row for row in ROWS if row < edge.key[0]][::-1]
    elif edge:
        rows = [row for row in ROWS if row > edge.key[0]]
    return rows[: SIZE + 1]


def page(address: str) -> Slice[str]:
    request = make_mocked_request("GET", address)
    edge = Edge.read(request, 1)
    return Slice.of(store(edge), SIZE, edge, lambda row: (row,), Filters.read(request, ["cause"]))


def test_all_pages_forwards_and_back_show_every_row_once_in_order() -> None:
    seen, address = [], "/console/list?cause=x"
    pages = []
    while address:
        pages.append(page(address))
        seen += pages[-1].rows
        address = pages[-1].older
    assert seen == ROWS
    assert [bool(each.newer) for each in pages] == [False, True, True]
    back = page(pages[-1].newer)
    assert list(back.rows) == ROWS[4:8]
    first = page(back.newer)
    assert (list(first.rows), first.newer, bool(first.older)) == (ROWS[:4], "", True)


def test_links_keep_the_filters() -> None:
    assert URL(page("/console/list?cause=a%26b%3Cc").older).query["cause"] == "a&b<c"


@pytest.mark.parametrize("edge", ["", "x", "!!!", "W10", "WzFd", "bnVsbA", "WyJhIiwiYiJd", "A" * 5000, "%00", "WyJhI"])
def test_an_edge_that_is_not_ours_is_the_first_page(edge: str) -> None:
    assert list(page(f"/console/list?after={edge}").rows) == ROWS[:4]


def test_what_is_overlong_or_unprintable_counts_as_not_given() -> None:
    request = make_mocked_request("GET", f"/x?cause={'y' * 201}&type=a%00b&workspace=%20acme%20&other=1")
    assert Filters.read(request, ["cause", "type", "workspace"]).values == {"workspace": "acme"}


def test_a_filter_changed_leads_to_the_first_page() -> None:
    filters = Filters.read(make_mocked_request("GET", "/x?cause=a&after=abc"), ["cause", "type"])
    assert filters.address(type="t") == "/x?cause=a&type=t"
    assert filters.address(cause=None) == "/x"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "–"), (0, "0 s"), (0.04, "0.0 s"), (1.44, "1.4 s"), (9.96, "10.0 s"), (59, "59 s"), (119, "119 s"),
     (121, "2 min"), (7300, "2 h"), (200_000, "2 days")],
)  # fmt: skip
def test_durations_are_said_shortly(seconds: float | None, told: str) -> None:
    assert words.span(seconds) == told


def test_money_times_and_counts() -> None:
    assert words.money(Decimal("1234567.005"), "DKK") == "1,234,567.01 DKK"
    assert words.money(None, "DKK") == "–"
    assert words.moment(datetime(2026, 11, 29, 5, 0, 7, tzinfo=UTC)) == "2026-11-29 05:00:07 UTC"
    assert (words.count(1_000_000), words.count(2.0), words.count(0.25)) == ("1,000,000", "2", "0.2")
    assert (words.plural(1, "event"), words.plural(2000, "reply", "replies")) == ("1 event", "2,000 replies")
