"""``run --processes N``: one worker per processor on one machine; one that ends is replaced, a stop reaches all."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from worker.cli.output import USAGE
from worker.clock import Clock, SystemClock
from worker.settings import PREFIX, Settings

log = structlog.get_logger()

SHORTEST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
"""How long a place stays empty after its worker ended; doubled each time it ends soon again."""

STEADY_S = 60.0
"""A worker that ran this long ended for a new reason: its place is filled soon again."""

GRACE_S = 25.0
"""Longer than a worker takes to end in order (20 s); then it is killed, and its work comes again."""


@dataclass(slots=True)
class Supervisor:
    """Keeps so many workers running. Their HTTP ports count up from the one that is set; 0 gives each a free one."""

    processes: int
    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    def stop(self) -> None:
        """Ask every worker to end, and start none any more."""
        self._stopping.set()
        for process in self._running.values():
            if process.returncode is None:
                process.terminate()

    async def run(self) -> int:
        """Run until stopped. Returns 2 as soon as a worker says that the settings are wrong: so would all others."""
        places = [asyncio.create_task(self._keep(place), name=f"worker {place}") for place in range(self.processes)]
        done, _ = await asyncio.wait(places, return_when=asyncio.FIRST_COMPLETED)
        self.stop()
        _, late = await asyncio.wait(places, timeout=GRACE_S)
        if late:
            for process in self._running.values():
                if process.returncode is None:
                    log.warning("supervisor.killed", pid=process.pid)
                    process.kill()
            await asyncio.wait(late)
        return max((place.result() for place in done), default=0)

    async def _keep(self, place: int) -> int:
        wait_s = SHORTEST_WAIT_S
        while True:
            began = self.clock.monotonic()
            process = self._running[place] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "worker", "run", env=self._environment(place)
            )
            if self._stopping.is_set():  # it was asked for while this one was being made
                process.terminate()
            log.info("supervisor.started", place=place, pid=process.pid)
            code = await process.wait()
            if self._stopping.is_set() or code == USAGE:
                return code if code == USAGE else 0
            if self.clock.monotonic() - began >= STEADY_S:
                wait_s = SHORTEST_WAIT_S
            log.error("supervisor.ended", place=place, pid=process.pid, code=code, again_in_s=wait_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
            if self._stopping.is_set():
                return 0
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _environment(self, place: int) -> Mapping[str, str]:
        port = self.settings.http_port + place if self.settings.http_port else 0
        return {**os.environ, f"{PREFIX}HTTP_PORT": str(port)}


async def supervise(processes: int, settings: Settings) -> int:
    """Run so many workers until SIGTERM or SIGINT."""
    supervisor = Supervisor(processes, settings)
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, supervisor.stop)
    return await supervisor.run()
