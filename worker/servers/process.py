"""Throw-away server processes: free ports, own process group, a log, and an end that comes in every case.

A watchdog per folder reads a pipe that only this process holds open: when we die, by whatever signal, the pipe closes
and the watchdog ends the groups and removes the folder.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class ServersUnavailable(Exception):
    """No server could be provided. The text is one sentence that says what to do."""


_given: set[int] = set()
"""A server may be started long after it was given its port, and needs several: no port is given out twice."""


def free_port() -> int:
    """Return a TCP port on loopback that was free a moment ago, and is given to nobody else in this process.

    Below the ephemeral range: there an outgoing connection could take it before, or while, a server restarts.
    """
    for _ in range(200):
        port = 20_000 + secrets.randbelow(12_000)  # not `random`: whoever seeds that would get the same ports twice
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
    raise ServersUnavailable("no free port between 20000 and 31999 on 127.0.0.1")


class Folder:
    """A short-named temporary folder (socket paths are limited to 107 bytes) that outlives nobody."""

    def __init__(self, name: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))  # short on purpose
        self.path.chmod(0o755)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-S", str(Path(__file__).with_name("watchdog.py")), str(self.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on the terminal must not reach it before its work is done
        )
        self._pipe = threading.Lock()  # one thread may remove what another is still starting

    def watch(self, pgid: int, how: signal.Signals = signal.SIGKILL) -> None:
        """Have this process group ended when we are gone. Raises ``ServersUnavailable`` when the folder is removed."""
        with self._pipe:
            if self._watchdog.stdin is None:
                raise ServersUnavailable(f"stopped while it was starting: {self.path.name}")
            self._watchdog.stdin.write(f"{pgid} {how:d}\n".encode())
            self._watchdog.stdin.flush()

    def remove(self) -> None:
        """End the watchdog, which removes the folder, and wait for it."""
        with self._pipe:
            if self._watchdog.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._watchdog.stdin.close()
                self._watchdog.stdin = None
        self._watchdog.wait(timeout=20)
        shutil.rmtree(self.path, ignore_errors=True)


class Process:
    """One server process in a group of its own, its output in a log file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Folder,
        log: Path,
        environment: Mapping[str, str],
        user: pwd.struct_passwd | None = None,
        last_resort: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start it. ``last_resort`` is the first signal it gets when this process dies without ending it."""
        self._log = log
        self.last_resort = last_resort
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder.path,
                start_new_session=True,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        try:
            folder.watch(self._process.pid, last_resort)
        except BaseException:
            self.end(signal.SIGKILL, 5.0)
            raise

    @property
    def pid(self) -> int:
        """Process id, which is also the group's id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Poll until the server answers. Raises ``ServersUnavailable`` with the end of its log."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running or time.monotonic() > deadline:
                how = "did not answer in time" if self.running else f"ended with code {self._process.returncode}"
                raise ServersUnavailable(f"the private {what} {how}; its log ends with:\n{self._tail()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.1)

    def finish(self, what: str, timeout_s: float) -> None:
        """Wait until it has done its work. Raises ``ServersUnavailable`` with the end of its log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(timeout=timeout_s) == 0:
                return
        raise ServersUnavailable(f"{what} failed; its log ends with:\n{self._tail()}")

    def end(self, how: signal.Signals, timeout_s: float) -> None:
        """Send a signal to the group and wait; whoever does not go is killed."""
        for sign, patience in ((how, timeout_s), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=patience)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-15:]) or "(empty)"
