"""Installing the Debian packages of both servers when they are missing, without leaving a system service behind."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.servers.process import ServersUnavailable

TIMEOUT_S = 600
POLICY = Path("/usr/sbin/policy-rc.d")


def install(packages: Sequence[str], announce: Callable[[str], None]) -> None:
    """Install packages as root; otherwise raise ``ServersUnavailable`` with the exact command to type."""
    if shutil.which("apt-get") is None:
        raise ServersUnavailable(
            f"{' and '.join(packages)} must be installed by hand here (no apt-get), or give the addresses of running "
            "servers in PIKE_ECONOMIC_TEST_AMQP_URL and PIKE_ECONOMIC_TEST_DATABASE_URL."
        )
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0:
        raise ServersUnavailable(f"not installed: {' and '.join(packages)}. Type: sudo sh -c '{command}'")
    announce(f"installing {', '.join(packages)}")
    with tempfile.TemporaryDirectory(prefix="pike-apt-") as folder:
        policy = _without_starting_services(Path(folder))
        try:
            _run(["apt-get", "update", "-qq"])
            _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])
        finally:
            policy()


def _without_starting_services(folder: Path) -> Callable[[], None]:
    """Packages ask ``policy-rc.d`` whether they may start their service; for now the answer is no."""
    kept = folder / "policy-rc.d"
    if POLICY.exists():
        shutil.copy2(POLICY, kept)
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)

    def restore() -> None:
        if kept.exists():
            shutil.copy2(kept, POLICY)
        else:
            POLICY.unlink(missing_ok=True)

    return restore


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if result.returncode != 0:
        raise ServersUnavailable(f"{' '.join(command)} failed: {(result.stderr or result.stdout).strip()[-800:]}")
