"""The lock file and the script that makes the virtual environment, as far as they need no package index."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.lock", "deploy/runtime.lock", "deploy/build.lock", "deploy/tools.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the lock check looks at."""
    (tmp_path / "deploy").mkdir()
    for name in ("pyproject.toml", "deploy/lock.py", "deploy/venv.sh", *LOCKS):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def lock_check(checkout: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, checkout / "deploy" / "lock.py", "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("lock", "least"), list(zip(LOCKS, (40, 15, 4, 30), strict=True)))
def test_every_locked_package_has_a_hash_and_no_address_is_named(lock: str, least: int) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())[1:]
    assert len(entries) > least
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"https?://|file:|index", text, re.IGNORECASE) == []


def test_lock_of_this_project_is_current(checkout: Path) -> None:
    assert lock_check(checkout).returncode == 0


def test_comments_and_order_in_pyproject_do_not_outdate_the_lock(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"asyncpg', '# another reason\n  "asyncpg'))
    assert lock_check(checkout).returncode == 0


def test_worker_runs_on_the_versions_that_the_tests_run_on() -> None:
    pinned = [set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS]
    tested, runtime, build, _ = pinned
    assert runtime <= tested
    assert build <= tested


@pytest.mark.parametrize(
    ("changed", "outdated"),
    [
        ("asyncpg>=", "requirements.lock, deploy/runtime.lock were"),
        ("hypothesis>=", "requirements.lock was"),
        ("testcontainers>=", "requirements.lock was"),
        ("pip-audit>=", "deploy/tools.lock was"),
    ],
)
def test_a_changed_requirement_outdates_the_lock(checkout: Path, changed: str, outdated: str) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace(changed, f"{changed}0.0.1,>="))
    told = lock_check(checkout)
    assert told.returncode == 1
    assert told.stderr.strip() == f"{outdated} made from another pyproject.toml. Run: make lock"


def run_venv(checkout: Path, path: Path) -> "subprocess.CompletedProcess[str]":
    """Run the script as if ``path`` were all that is installed."""
    return subprocess.run(
        ["/bin/sh", "deploy/venv.sh", ".venv"],
        cwd=checkout, env={"PATH": str(path), "HOME": str(checkout)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def put_command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


OLD = "exit 1"  # what a Python says to the question whether it is new enough
NEW_WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1;; *print*) echo 3.11;; esac; exit 0'


def test_no_python_at_all_is_one_clear_sentence(checkout: Path, tmp_path: Path) -> None:
    put_command(tmp_path / "bin", "python3", OLD)
    told = run_venv(checkout, tmp_path / "bin")
    assert told.returncode == 1
    assert told.stderr == (
        "Python 3.11 or newer is needed, and none was found as python3, python3.13, python3.12 or python3.11.\n"
    )


def test_an_ordinary_user_without_venv_is_told_the_exact_command(checkout: Path, tmp_path: Path) -> None:
    put_command(tmp_path / "bin", "python3", OLD)
    put_command(tmp_path / "bin", "python3.12", NEW_WITHOUT_VENV)
    put_command(tmp_path / "bin", "apt-get", "exit 0")
    put_command(tmp_path / "bin", "id", "echo 1000")
    told = run_venv(checkout, tmp_path / "bin")
    assert told.returncode != 0
    assert "Run: sudo apt-get update && sudo apt-get install -y python3.11-venv" in told.stderr


def test_root_without_venv_gets_it_from_debian_with_fresh_lists(checkout: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    put_command(tmp_path / "bin", "python3", f'{NEW_WITHOUT_VENV.removesuffix("exit 0")}echo "python $*" >> {calls}')
    put_command(tmp_path / "bin", "apt-get", f'echo "apt-get $*" >> {calls}')
    put_command(tmp_path / "bin", "id", "echo 0")
    run_venv(checkout, tmp_path / "bin")
    made = [line for line in calls.read_text().splitlines() if "apt-get" in line or "-m venv" in line]
    assert made == [
        "apt-get update -qq",
        "apt-get -o DPkg::Lock::Timeout=120 install -y -qq python3.11-venv",
        "python -m venv --clear .venv",
    ]


@pytest.mark.parametrize(
    ("made_in", "remade"),
    [("here", False), ("elsewhere", True), ("a link", False)],
    ids=["here", "elsewhere", "linked"],
)
def test_an_environment_that_was_copied_from_another_folder_is_made_anew(
    checkout: Path, tmp_path: Path, made_in: str, remade: bool
) -> None:
    calls = tmp_path / "calls"
    put_command(tmp_path / "bin", "python3", f'echo "python3 $*" >> {calls}')
    put_command(tmp_path / "bin", "grep", '/bin/grep "$@"')
    venv = tmp_path / ("elsewhere" if made_in == "a link" else ".venv")
    (venv / "bin").mkdir(parents=True)
    put_command(venv / "bin", "python", f'echo "venv $*" >> {calls}')
    folder = checkout if made_in == "here" else Path("/somewhere")
    (venv / "bin" / "pip").write_text(f"#!{folder}/.venv/bin/python\n")
    if made_in == "a link":
        (checkout / ".venv").symlink_to(venv)
    told = run_venv(checkout, tmp_path / "bin")
    assert told.returncode == 0, told.stderr
    assert ("python3 -m venv --clear .venv" in calls.read_text()) == remade


def test_make_help_has_a_line_for_every_command() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    named = re.findall(r"^  make ([\w-]+) ", told.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert named == phony[1].split()
