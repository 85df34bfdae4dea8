"""The page about metrics and the metrics are the same list."""

import re
from pathlib import Path

from worker.ops.figures import PREFIX, TABLE
from worker.telemetry import metrics

PAGE = Path(__file__).parents[3] / "deploy" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>[a-z_]+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*) \| (?P<text>[^|]+) \|$", re.MULTILINE)


def written() -> dict[str, tuple[str, tuple[str, ...], str]]:
    return {
        row["name"]: (row["kind"], tuple(re.findall(r"`(\w+)`", row["labels"])), row["text"].strip())
        for row in ROW.finditer(PAGE.read_text())
    }


def real() -> dict[str, tuple[str, tuple[str, ...], str]]:
    found = {PREFIX + name: ("gauge", labels, text) for name, (text, labels) in TABLE.items()}
    for family in metrics.REGISTRY.collect():
        made = next(value for value in vars(metrics).values() if getattr(value, "_name", None) == family.name)
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, tuple(made._labelnames), family.documentation)
    return found


def test_every_metric_is_on_the_page_with_its_kind_labels_and_meaning() -> None:
    assert written() == real()


def test_no_label_can_hold_an_id() -> None:
    labels = {label for _, labels, _ in real().values() for label in labels}
    assert labels <= {
        "lane",
        "event_type",
        "outcome",
        "result",
        "family",
        "answer",
        "entity",
        "state",
        "cause",
        "because",
        "table",
        "mode",
        "version",  # of the software: a handful at a time
        "commit",
    }
