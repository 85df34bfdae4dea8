"""Installing the Debian packages of both servers when they are missing, without leaving a system service behind."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from worker.servers.process import ServersUnavailable

TIMEOUT_S = 600
LOCK_TIMEOUT_S = 120  # a fresh machine updates itself first
POLICY = Path("/usr/sbin/policy-rc.d")
# What the packages would start with the machine; epmd comes with RabbitMQ's Erlang.
UNITS = ("rabbitmq-server.service", "postgresql.service", "epmd.service", "epmd.socket", "prometheus.service")
UNIT_FOLDER = Path("/lib/systemd/system")
MARK = "PIKE_ECONOMIC_INSTALLS"


def install_missing(missing: Callable[[], Sequence[str]], announce: Callable[[str], None]) -> None:
    """Ask which packages are missing and install them, one process at a time.

    Tests run side by side and all begin on a bare machine: the others wait here and then find everything in place,
    never a package that is only half unpacked. Raises ``ServersUnavailable`` as ``install`` does.
    """
    with _one_at_a_time():
        packages = missing()
        if packages:
            install(packages, announce)


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
    announce(f"installing {', '.join(packages)}; their system services stay off")
    with _no_service_starts():
        _apt_get("update", "-qq")
        _apt_get("install", "-y", "-qq", "--no-install-recommends", *packages)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    # A name for each user: what root made could not be opened by others
    lock = Path(tempfile.gettempdir()) / f"pike-economic-install-{os.geteuid()}.lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # gives the lock back; the file stays, others may be waiting for it


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Have packages start no service, neither now nor with the machine. Services that are there already stay as is."""
    before = [unit for unit in UNITS if (UNIT_FOLDER / unit).exists()]
    try:
        with _policy():
            yield
    finally:
        for unit in UNITS:
            if unit not in before and (UNIT_FOLDER / unit).exists():
                _disable(unit)


@contextmanager
def _policy() -> Iterator[None]:
    """Packages ask ``policy-rc.d`` whether they may start their service; for now the answer is no.

    Ours says so to our own ``apt-get`` only, and else what the machine's own said: left behind, it does no harm.
    """
    kept = POLICY.with_name(f"{POLICY.name}.before-pike-economic")
    if os.path.lexists(POLICY) and not _is_ours(POLICY):  # it may be a link, which is kept as one
        POLICY.rename(kept)
    script = f'#!/bin/sh\n[ -n "${MARK}" ] && exit 101\n[ -x {kept} ] && exec {kept} "$@"\nexit 0\n'
    with tempfile.NamedTemporaryFile("w", dir=POLICY.parent, prefix=".policy-", delete=False) as ours:
        ours.write(script)
    Path(ours.name).chmod(0o755)
    Path(ours.name).rename(POLICY)
    try:
        yield
    finally:
        if os.path.lexists(kept):
            kept.rename(POLICY)
        else:
            POLICY.unlink(missing_ok=True)


def _is_ours(policy: Path) -> bool:
    return not policy.is_symlink() and MARK in policy.read_text(errors="replace")


def _disable(unit: str) -> None:
    """Take a unit out of the machine's start, whether it starts with systemd or with init scripts."""
    name, _, kind = unit.partition(".")
    for command in (["systemctl", "--quiet", "disable", unit], ["update-rc.d", name, "disable"]):
        if (command[0] == "systemctl" or kind == "service") and shutil.which(command[0]):
            subprocess.run(command, capture_output=True, timeout=60, check=False)


@contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Let a Ctrl-C that comes during the block take effect after it."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _apt_get(*arguments: str) -> None:
    """Run ``apt-get`` to its end, also when Ctrl-C comes: half-installed packages would be worse than the wait."""
    command = ["apt-get", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}", *arguments]
    environment = {**os.environ, MARK: "yes", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile("w+") as output, _interrupts_put_off():
        running = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = running.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            running.terminate()
            code = running.wait(60)
        output.seek(0)
        if code != 0:
            raise ServersUnavailable(f"apt-get {' '.join(arguments)} failed: {output.read().strip()[-800:]}")
