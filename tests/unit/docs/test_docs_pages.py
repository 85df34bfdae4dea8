"""The pages: links lead somewhere, generated ones are current, and what they name in the code is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipes import ROOT

from deploy.docs import generate, pages
from worker.failpoints import POINTS
from worker.settings import Settings

DOCS = ROOT / "deploy" / "docs"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "deploy").rglob("*.md"), *(ROOT / "worker").rglob("*.md")]
    if "node_modules" not in path.parts
)

_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_PLACE = re.compile(r"`([A-Za-z_][\w.]*)`\s+in\s+\[`([\w/.]+\.py)`\]")


def prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def links() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        for target in _LINK.findall(prose(path)):
            if not target.startswith(("http://", "https://", "mailto:")):
                yield str(path.relative_to(ROOT)), target


def broken(path: Path, target: str) -> str | None:
    name, _, anchor = target.partition("#")
    found = (path.parent / name).resolve() if name else path
    if not found.exists():
        return f"{path.relative_to(ROOT)}: {target} leads nowhere"
    if anchor and found.suffix == ".md":
        anchors = [pages.anchor(heading) for heading in _HEADING.findall(prose(found))]
        if anchor not in anchors:
            return f"{path.relative_to(ROOT)}: {found.name} has no heading #{anchor}"
    return None


def test_every_link_leads_somewhere() -> None:
    found = list(links())
    assert len(found) > 100
    assert [wrong for path, target in found if (wrong := broken(ROOT / path, target))] == []


def test_a_broken_link_and_a_missing_heading_are_noticed() -> None:
    page = DOCS / "README.md"
    assert "leads nowhere" in str(broken(page, "how-to/nothing.md"))
    assert "has no heading #nothing" in str(broken(page, "tutorial.md#nothing"))


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [target.partition("#")[0] for target in _LINK.findall(prose(page)) if "://" not in target]
        waiting += [path for name in targets if name and (path := (page.parent / name).resolve()).suffix == ".md"]
    assert sorted(str(path.relative_to(ROOT)) for path in set(DOCS.rglob("*.md")) - seen) == []


def test_generated_pages_are_current() -> None:
    assert generate.stale() == []


def test_an_old_page_is_noticed(tmp_path: Path) -> None:
    for name, text in generate.made().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "settings.md").write_text("old")
    (tmp_path / "events.md").unlink()
    assert [sentence.split()[0] for sentence in generate.stale(tmp_path)] == [
        "deploy/docs/reference/settings.md",
        "deploy/docs/reference/events.md",
    ]


def test_settings_that_say_nothing_of_themselves_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings.model_fields["http_port"], "description", None)
    with pytest.raises(ValueError, match="http_port has no docstring"):
        pages.settings()


def functions(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{each.name}" for each in methods}
    return found


def test_the_way_from_a_frame_to_a_row_is_as_told() -> None:
    places = _PLACE.findall((DOCS / "explanation" / "frame-to-row.md").read_text(encoding="utf-8"))
    assert len(places) >= 20
    assert [(name, path) for name, path in places if name not in functions(ROOT / path)] == []


def test_crash_table_names_every_point_of_a_push() -> None:
    table = (DOCS / "explanation" / "guarantees.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))
    ours = ("delivery.", "push.", "call.", "finish.", "ack.", "relay.")
    assert told == {name for name in POINTS if name.startswith(ours)}
