"""Run as a script of its own: when standard input closes, end the groups named on it and remove the folder.

Each line is a process group and the signal that it is to get first. Who does not go within a few seconds is killed.
Uses the standard library only and starts in milliseconds.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

PATIENCE_S = 5.0


def main() -> None:
    """Read groups and signals until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups = [(int(group), int(sign)) for group, sign in (line.split() for line in sys.stdin)]
    for group, sign in reversed(groups):
        send(group, sign)
    deadline = time.monotonic() + PATIENCE_S
    for group, sign in groups:
        while sign != signal.SIGKILL and send(group, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
        send(group, signal.SIGKILL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def send(group: int, sign: int) -> bool:
    """Return whether there was anybody to get the signal."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sign)
        return True
    return False


main()
