"""What a release promises: the same wheel from the same commit, few dependencies with a reason each, a quick --help."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MOST_DEPENDENCIES = 14
NOT_FOR_HELP = (
    *("aio_pika", "aiohttp", "aiormq", "asyncio", "asyncpg", "cryptography", "jinja2", "opentelemetry"),
    *("prometheus_client", "pydantic", "rich", "structlog", "uvloop", "events", "worker.settings"),
)


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from worker.cli.app import cli
try:
    cli.main(["--help"], prog_name="pike-economic")
except SystemExit as exc:
    assert exc.code == 0
print("loaded:", [name for name in {NOT_FOR_HELP!r} if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "Run the worker" in told.stdout
    assert told.stdout.splitlines()[-1] == "loaded: []"


def direct_dependencies(project: str) -> list[tuple[str, str]]:
    """The run-time dependencies as they are written: name, and the reason behind it."""
    block = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert block is not None
    found = [re.fullmatch(r'  "([\w.-]+)[^"]*",\s*(?:# (.+))?', line) for line in block[1].splitlines()]
    assert all(found), block[1]
    return [(match[1], match[2] or "") for match in found if match]


def test_direct_dependencies_are_few_and_each_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = direct_dependencies(text)
    assert len(found) == len(tomllib.loads(text)["project"]["dependencies"]) <= MOST_DEPENDENCIES
    assert [name for name, reason in found if len(reason) < 8] == []


def test_a_dependency_without_a_reason_is_seen() -> None:
    assert direct_dependencies('dependencies = [\n  "click>=8",\n]\n') == [("click", "")]


def build(folder: Path, **environment: str) -> Path:
    """Make the wheel of this checkout as a release does."""
    told = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.timeout(300)
def test_the_same_commit_gives_the_same_wheel_at_another_time_in_another_place(tmp_path: Path) -> None:
    commit = {"PIKE_ECONOMIC_COMMIT": "0" * 40, "SOURCE_DATE_EPOCH": "1764000000"}
    first = build(tmp_path / "one", TZ="UTC", **commit)
    second = build(tmp_path / "two", TZ="Asia/Tokyo", LC_ALL="C", **commit)
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    other = build(tmp_path / "three", PIKE_ECONOMIC_COMMIT="1" * 40, SOURCE_DATE_EPOCH="1764000000")
    assert first.read_bytes() != other.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        names = wheel.namelist()
        assert wheel.read("worker/commit.txt") == b"0" * 40 + b"\n"
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"worker", "events", "schemas"}
    assert [name for name in names if "__pycache__" in name or name.startswith("tests")] == []
