"""bandit's findings in our own code, against the answers in deploy/security.md: none without the other."""

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatch

from deploy.checks.tools import DEPLOY, ROOT, Faulty, ask

FOLDERS = ("worker", "events", "schemas", "deploy")
Finding = tuple[str, str]
"""Bandit's number and the file."""


def answers(page: str) -> list[tuple[Finding, str]]:
    """Return number and file pattern of every row of the page's table, with the row itself."""
    table = page.partition("## Bandit")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| B")]
    return [
        ((number, pattern), "|".join(row))
        for row in rows
        for number in re.findall(r"B\d{3}", row[1])
        for pattern in re.findall(r"`([^`]+)`", row[2])
    ]


def faults(found: Iterable[Finding], page: str) -> list[str]:
    """Return a sentence for every finding without an answer and every row that answers nothing."""
    given, seen = answers(page), set(found)
    said = [
        f"{number} in {file} has no answer in deploy/security.md"
        for number, file in sorted(seen)
        if not any(number == answered and fnmatch(file, pattern) for (answered, pattern), _ in given)
    ]
    needed = {row for (number, pattern), row in given for one, file in seen if one == number and fnmatch(file, pattern)}
    idle = {row for _, row in given} - needed
    return said + [f"deploy/security.md answers what is not found: {row}" for row in sorted(idle)]


def bandit() -> list[str]:
    """Run it and compare."""
    told = ask("bandit", "--quiet", "--recursive", *FOLDERS, "--exclude", "deploy/examples/node", "--format", "json")
    results = json.loads(told.stdout)["results"]
    severe = [each for each in results if each["issue_severity"] == "HIGH"]
    found = {(each["test_id"], str((ROOT / each["filename"]).relative_to(ROOT))) for each in results}
    if not found:
        raise Faulty(f"bandit found nothing at all, which cannot be: {told.stderr}")
    if said := faults(found, (DEPLOY / "security.md").read_text(encoding="utf-8")):
        raise Faulty("\n    ".join(said))
    if severe:
        raise Faulty(f"severity high: {', '.join(each['test_id'] + ' ' + each['filename'] for each in severe)}")
    return [f"bandit: {len(results)} findings, none of severity high, each answered in deploy/security.md"]
