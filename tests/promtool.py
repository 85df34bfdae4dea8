"""Prometheus' promtool for tests: the machine's own, else from Debian's package, installed like the servers."""

import shutil
import subprocess
from pathlib import Path

from worker.servers.install import install_missing


def find_promtool() -> str:
    """Return promtool's path. Raises ``ServersUnavailable`` with what to type when it cannot be installed."""
    install_missing(lambda: [] if shutil.which("promtool") else ["prometheus"], print)
    found = shutil.which("promtool")
    assert found, "the package prometheus has no promtool"
    return found


def run(tool: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run promtool and return what it said; never raises for its exit code."""
    return subprocess.run([tool, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
