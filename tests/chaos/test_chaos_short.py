"""The fault suite in a minute: every kind of fault, real processes and servers, and the count at the end."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INJECTED = {
    "worker SIGKILL", "broker restart", "postgres restart", "revoke", "restore", "lease lapse",
    "status", "hang", "hang_after", "drop_before", "drop_after", "html", "truncated_json", "cut_body", "trickle",
    "error_in_200",
}  # fmt: skip


@pytest.mark.requirement("B1", "B2", "B16")
async def test_a_minute_of_every_fault_loses_and_doubles_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos", "--short", "--json",
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert output, errors.decode(errors="replace")[-3000:]
    verdict = json.loads(output.splitlines()[-1])
    assert (verdict["lost"], verdict["double"]) == (0, 0), (verdict, errors.decode(errors="replace")[-3000:])
    assert verdict["sent"] == verdict["outcomes"] == 300
    assert set(verdict["faults"]) == INJECTED
    assert process.returncode == 0
