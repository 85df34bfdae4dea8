"""Alert rules, dashboards and runbook: promtool's verdict, existing metrics only, and an entry for every alert."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from promtool import find_promtool, run
from test_ops_metrics_document import real

DEPLOY = Path(__file__).parents[3] / "deploy"
ALERTS = DEPLOY / "alerts"
RULES = (ALERTS / "pike-economic.rules.yml").read_text()
NAMES = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)
RUNBOOK = (DEPLOY / "runbook.md").read_text()
BOARDS = sorted((DEPLOY / "dashboards").glob("*.json"))
SERIES = re.compile(r"\b(?:pike_economic|messaging)_[a-z_]+")
SELECTOR = re.compile(r"\b((?:pike_economic|messaging)_[a-z_]+)\{([^}]*)\}")
MODIFIER = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"instance", "job", "le"}


@pytest.fixture(scope="module")
def promtool() -> str:
    return find_promtool()


def labels_of() -> dict[str, set[str]]:
    """Every series that exists, with its labels; histograms and what they consist of."""
    found = {}
    for name, (kind, labels, _) in real().items():
        for ending in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + ending] = set(labels) | OF_PROMETHEUS
    return found


def check_expression(expression: str) -> None:
    known = labels_of()
    names = set(SERIES.findall(expression))
    assert names <= set(known), f"no such metric: {sorted(names - set(known))}"
    for name, selector in SELECTOR.findall(expression):
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        assert asked <= known[name], f"{name} has no label {asked - known[name]}"
    grouped = {label.strip() for group in MODIFIER.findall(expression) for label in group.split(",")} - {""}
    assert grouped <= set.union(OF_PROMETHEUS, *(known[name] for name in names)), expression


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.requirement("B17")
def test_promtool_passes_the_rules_and_their_tests(promtool: str) -> None:
    checked = run(promtool, "check", "rules", "pike-economic.rules.yml", cwd=ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = run(promtool, "test", "rules", "tests.yml", cwd=ALERTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [("> 900", "> 9e6"), ("by (lane)", "by (instance)"), ("min(pike_economic_store", "max(pike_economic_store")],
)
def test_the_rules_tests_notice_a_change(promtool: str, tmp_path: Path, old: str, new: str) -> None:
    assert old in RULES
    shutil.copytree(ALERTS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pike-economic.rules.yml").write_text(RULES.replace(old, new))
    assert run(promtool, "test", "rules", "tests.yml", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_tested_loud_and_quiet_and_is_in_the_runbook(name: str) -> None:
    blocks = (ALERTS / "tests.yml").read_text().split("  - interval: 1m\n")
    ours = [block for block in blocks if f"alertname: {name}\n" in block]
    assert [("exp_alerts: []" in block) for block in ours] == [False, True], name
    _, heading, entry = RUNBOOK.partition(f"\n### {name}\n")
    assert heading, f"deploy/runbook.md has no entry for {name}"
    entry = entry.partition("\n#")[0]
    for part in ("**Means:**", "**See:**", "**Do:**", "**Over when:**"):
        assert part in entry, f"{name}: {part}"


def test_every_runbook_url_leads_to_a_heading() -> None:
    urls = re.findall(r"runbook_url: (\S+)", RULES)
    assert len(urls) == len(NAMES) == len(set(NAMES))
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", RUNBOOK, re.M)
    }
    for url in urls:
        path, _, anchor = url.partition("#")
        assert (DEPLOY.parent / path).is_file()
        assert anchor in anchors, url


def test_every_entry_of_the_runbook_is_of_an_alert_that_exists() -> None:
    assert set(re.findall(r"^### (PikeEconomic\w+)$", RUNBOOK, re.M)) == set(NAMES)


def test_alert_rules_name_existing_metrics_and_labels() -> None:
    found = re.findall(r'^ +expr: (".*")$', RULES, re.MULTILINE)
    assert len(found) == len(NAMES)
    for expression in found:
        check_expression(json.loads(expression))


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_dashboards_ask_for_existing_metrics_in_valid_queries(promtool: str, tmp_path: Path, path: Path) -> None:
    board = json.loads(path.read_text())
    asked = list(expressions(board))
    assert len(asked) > 10
    rules = ["groups:", "  - name: dashboard", "    rules:"]
    for number, (title, expression) in enumerate(asked):
        assert title
        check_expression(expression)
        valid = expression.replace("$__rate_interval", "5m")
        rules += [f"      - record: x:y{number}", f"        expr: {json.dumps(valid)}"]
    (tmp_path / "rules.yml").write_text("\n".join(rules))
    checked = run(promtool, "check", "rules", "rules.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert board["uid"] == path.stem


def test_every_metric_is_on_a_dashboard() -> None:
    text = " ".join(expression for path in BOARDS for _, expression in expressions(json.loads(path.read_text())))
    missing = [name for name in real() if not re.search(rf"\b{name}(?:_bucket|_sum|_count)?\b", text)]
    assert not missing


def test_a_query_for_a_metric_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no such metric"):
        check_expression("sum(pike_economic_unicorns)")
    with pytest.raises(AssertionError, match="has no label"):
        check_expression('pike_economic_breakers{workspace="x"}')
