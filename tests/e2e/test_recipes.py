"""The recipes of deploy/docs/contributing.md, done in a copy of the project: what they touch, and that it works."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recipes import ROOT, DoesNotFit, Step, copy_project, recipe
from support import Databases, SharedVhost, Vhosts

MOST_FILES = 5
"""Files that a new entity may touch (issue: must reach)."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all three recipes done and the generated files made anew."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    for heading in ("Add an entity", "Add an event", "Add an error"):
        for step in recipe(heading):
            step.take(folder)
    for module in ("events.contract", "deploy.docs.generate"):
        command("-m", module, folder=folder)
    return folder


def command(*arguments: str, folder: Path) -> str:
    """Run Python in the copy, whose modules go before the installed ones; its output when it fails is the assertion."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def test_an_entity_touches_five_files_at_most() -> None:
    touched = [step.path for step in recipe("Add an entity")]
    assert len(set(touched)) == len(touched) <= MOST_FILES
    assert "worker/entities.py" in touched


@pytest.mark.timeout(600)
def test_the_copy_passes_the_checks(copy: Path) -> None:
    command("-m", "ruff", "check", "--quiet", "worker", "events", "schemas", folder=copy)
    command("-m", "ruff", "format", "--check", "--quiet", "worker", "events", "schemas", folder=copy)
    command("-m", "mypy", "--no-error-summary", "--cache-dir", str(ROOT / ".venv" / ".mypy_recipes"), folder=copy)
    command("-c", "from importlinter.cli import lint_imports_command as check; check(['--no-cache'])", folder=copy)
    command("-m", "events.contract", "--check", folder=copy)
    command("-m", "deploy.docs.generate", "--check", folder=copy)
    command(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/unit/test_entities.py",
        "tests/unit/contract",
        folder=copy,
    )


@pytest.fixture(scope="module")
def seen(copy: Path, databases: Databases, vhosts: Vhosts | SharedVhost) -> Iterator[dict[str, Any]]:
    """What a worker of the copy did, against real servers."""
    amqp_url, database_url = vhosts.take(), databases.create(migrated=False)
    output = command("-m", "tests.e2e.recipes_at_work", amqp_url, database_url, folder=copy)
    yield json.loads(output.splitlines()[-1])
    vhosts.give_back(amqp_url)
    databases.drop(database_url)


def test_the_new_entity_is_imported_previewed_and_found_unchanged(seen: dict[str, Any]) -> None:
    counts = {"created": 0, "updated": 0, "unchanged": 0, "deactivated": 0, "rejected": 0}
    assert seen["preview"]["counts"] == {"suppliers": counts | {"created": 2}}
    assert seen["first"]["counts"] == {"suppliers": counts | {"created": 2}}
    assert seen["changes"]["counts"] == {"suppliers": counts | {"unchanged": 2}}
    report = {row["kind"]: (row["count"], row["economic_count"]) for row in seen["first"]["report"]["rows"]}
    assert report == {"suppliers": (2, 2)}
    named = {"external_number": "1", "name": "Papir A/S", "email": "salg@papir.test", "vat_number": None}
    barred = {"external_number": "2", "name": "Blæk ApS", "email": None, "vat_number": "12345678"}
    assert seen["rows"] == [named | {"active": True, "locked": True}, barred | {"active": False, "locked": True}]


def test_it_is_refreshed_and_what_vanished_is_deactivated(seen: dict[str, Any]) -> None:
    assert seen["refresh"]["changes"] == [{"field": "city", "old": "Odense", "new": "Aarhus"}]
    assert seen["gone"]["counts"]["suppliers"]["deactivated"] == 1


def test_it_is_locked_and_in_the_views(seen: dict[str, Any]) -> None:
    assert seen["lock"].startswith("Supplier 1 is in e-conomic and cannot be edited in Pike: name.")
    assert seen["status"] == [{"entity": "supplier", "records": 2, "linked": 2}]
    assert seen["tags"] == 2


def test_the_new_event_is_answered(seen: dict[str, Any]) -> None:
    assert seen["checked"]["agreement_number"] == seen["agreement"]


def test_the_new_error_reads_like_help(seen: dict[str, Any]) -> None:
    problem = seen["refused"]["problem"]
    assert problem["cause"] == "department_unusable"
    assert problem["user_message"] == "The department is barred in e-conomic."
    assert problem["economic"]["error_code"] == "E09990"


def test_page_that_does_not_fit_the_project_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\none\n")
    Step("a.py", "diff", " two\n+three\n").take(tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\ntwo\nthree\none\n"
    with pytest.raises(DoesNotFit, match="2 places"):
        Step("a.py", "diff", "-one\n").take(tmp_path)
    with pytest.raises(DoesNotFit, match="0 places"):
        Step("a.py", "diff", "-four\n").take(tmp_path)
    with pytest.raises(DoesNotFit, match="there already"):
        Step("a.py", "python", "x\n").take(tmp_path)
