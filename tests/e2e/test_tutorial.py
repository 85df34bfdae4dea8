"""The tutorial, typed as it stands: one process in the first terminal, everything else in the second."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipes import copy_project

from worker.servers.install import install_missing

TUTORIAL = Path(__file__).parents[2] / "deploy" / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```sh terminal=([12])\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STEP = re.compile(r"^## (\d)\.", re.MULTILINE)
STARTED_S, WALKED_S = 150, 200


def blocks(terminal: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")) if found == terminal]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as a new user has it after the first step, with an environment that is made already."""
    copy_project(tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    interpreter = Path(sys.executable).parent
    for name in ("python", "pike-economic"):
        (tmp_path / ".venv" / "bin" / name).write_text(
            f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{interpreter / "python"}" '
            + ("-m worker" if name == "pike-economic" else "")
            + ' "$@"\n'
        )
        (tmp_path / ".venv" / "bin" / name).chmod(0o755)
    (tmp_path / ".venv" / "bin" / "activate").write_text(f'PATH="{tmp_path / ".venv" / "bin"}:$PATH"\n')
    return tmp_path


@pytest.fixture
def first_terminal(clone: Path) -> Iterator[subprocess.Popen[str]]:
    """What the tutorial leaves running, ended as a person ends it."""
    (line,) = blocks("1")
    arguments = re.fullmatch(r'make dev ARGS="(.*)"\n', line)
    assert arguments, line
    process = subprocess.Popen(
        [str(clone / ".venv" / "bin" / "python"), "-m", "worker", "dev", *arguments[1].split()],
        cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


@pytest.mark.timeout(STARTED_S + WALKED_S + 60)
def test_the_tutorial_does_what_it_says(clone: Path, first_terminal: subprocess.Popen[str]) -> None:
    install_missing(lambda: [] if shutil.which("curl") else ["curl"], print)
    assert first_terminal.stdout is not None
    said = []
    for line in first_terminal.stdout:  # ends with the process, so that a start that fails does not hang
        said.append(line)
        if "# Ctrl-C stops everything" in line:
            break
    assert "# Ctrl-C stops everything" in said[-1], "".join(said)
    assert (clone / "dev.env").stat().st_mode & 0o077 == 0

    script = "set -eu\n" + "".join(f"echo '=== block {n}'\n{text}" for n, text in enumerate(blocks("2")))
    typed = subprocess.run(
        ["bash", "-c", script], cwd=clone, capture_output=True, text=True, timeout=WALKED_S, check=False
    )
    assert typed.returncode == 0, typed.stdout + typed.stderr
    output = re.split(r"^=== block \d+\n", typed.stdout, flags=re.MULTILINE)[1:]
    status, imported, product, published, traced, failed, listed, replayed, proof = output
    assert "dev        1000001" in status
    assert re.search(r"^products +100 +100", imported, re.MULTILINE)
    assert re.fullmatch(r"[0-9a-f-]{36}\n", product)
    assert '"type": "economic.invoice.synced"' in published
    assert "Done: synced" in traced
    assert '"product_barred"' in failed
    assert "it was not synced, as expected" in failed
    assert "economic.invoice.synced" not in failed
    assert listed.startswith("1 × product_barred")
    assert "1 looked at, 0 would fail again. Nothing was sent." in replayed
    assert replayed.endswith("No dead letters.\n")
    assert "Lost: 0. Double: 0." in proof

    os.killpg(first_terminal.pid, signal.SIGINT)
    assert first_terminal.wait(30) == 0
    assert not (clone / "dev.env").exists()


def test_every_block_says_which_terminal_it_is_for() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    plain = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert [block.split()[:2] for block in plain] == [["git", "clone"]]
    assert len(_STEP.findall(text)) == 5
