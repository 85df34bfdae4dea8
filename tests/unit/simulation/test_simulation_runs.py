"""Seeded runs keep every promise, replay exactly, and find each guard that is taken away (B16)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.run import simulate

ROOT = Path(__file__).parents[3]
SEEDS = range(1, 151)
ENOUGH = 1000
"""Seeds within which a missing guard must be found; a few are enough for most."""


@pytest.mark.requirement("B16", "B1")
def test_whatever_the_seeds_draw_every_event_ends_once_and_no_invoice_is_made_twice() -> None:
    results = [simulate(seed) for seed in SEEDS]
    failed = {result.seed: result.violations for result in results if result.violations}
    assert not failed, f"replay with: python -m tests.simulation --runs 1 --trace --seed {next(iter(failed))}"
    happened = {kind for result in results for kind in result.faults}
    assert happened >= {
        "crash", "pause", "pause past the lease", "e-conomic", "stale look-up", "grant revoked", "broker", "postgres",
        "commit fails", "commit unknown", "statement fails", "publish lost", "confirm lost", "wall clock",
    }  # fmt: skip
    assert sum(result.made for result in results) > len(SEEDS)


@pytest.mark.requirement("B16")
def test_the_same_seed_gives_the_same_trace_in_another_process_too() -> None:
    here = simulate(5, tracing=True).trace
    assert len(here) > 100
    assert simulate(5, tracing=True).trace == here
    assert simulate(6, tracing=True).trace != here
    command = [sys.executable, "-m", "tests.simulation", "--runs", "1", "--seed", "5", "--trace"]
    for hash_seed in ("1", "2"):
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.splitlines()[1:-1] == here


@pytest.mark.requirement("B16")
def test_tracing_changes_nothing() -> None:
    plain, traced = simulate(7), simulate(7, tracing=True)
    assert (plain.faults, plain.made, plain.virtual_s) == (traced.faults, traced.made, traced.virtual_s)


@pytest.mark.requirement("B16", "B1")
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_guard_that_is_taken_away_is_found(name: str) -> None:
    with mutated(name):
        seed = MUTANTS[name].first_seed(ENOUGH)
    assert seed is not None, f"{ENOUGH} seeds found nothing"
    assert not MUTANTS[name].run(seed).violations


def test_a_failing_run_prints_its_seed_and_exits_with_1() -> None:
    name = "no fence"
    with mutated(name):
        seed = MUTANTS[name].first_seed(ENOUGH)
    command = [sys.executable, "-m", "tests.simulation", "--runs", "1", "--seed", str(seed), "--break", name]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"seed {seed} fails")
    assert "runs/minute" in ran.stdout
