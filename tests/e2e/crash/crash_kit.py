"""What crash tests stand on: real worker processes that die at a named point, and what must be the same afterwards."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
from aiormq.exceptions import ChannelNotFoundEntity
from harness import Harness, environment
from support import TEST_LADDER_S, eventually

from worker.bootstrap import worker
from worker.broker.topology import LANE_QUEUES, build_topology
from worker.failpoints import VARIABLE
from worker.sandbox import Sandbox
from worker.settings import load

ROOT = Path(__file__).resolve().parents[3]
LADDER_S = (0.2, 0.5, 1.0)

DEATH_S = 30.0
"""How long a process may take to come by the point it is to die at, and to end after SIGTERM."""

_LATER = """
update economic.inbox set lease_until = now() - interval '1 s' where state = 'running';
update economic.outbox set leased_until = now() - interval '1 s';
update economic.overflow set due_at = now();
update economic.effects set first_sent_at = first_sent_at - interval '1 minute';
"""

_FORGOTTEN = (
    "{id,invoice_id,customer_id,product_id,tax_rate_id,deactivated_by_import,"
    "last_synced_at,last_attempt_at,updated_at,synced_as_of,vanished_at}"
)
"""Columns that differ from run to run: random ids and times."""


class Zygote:
    """Forks worker processes; see ``zygote.py``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it, and with it every process that is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class WorkerProcess:
    """One process of the product."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self._zygote = zygote
        self.pid = pid

    def send(self, sign: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, sign)

    async def ended(self, within_s: float = DEATH_S) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        descriptor = os.pidfd_open(self.pid)
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(descriptor, gone.set)
        try:
            await asyncio.wait_for(gone.wait(), within_s)
        except TimeoutError:
            raise AssertionError(f"process {self.pid} has not ended within {within_s:g} s") from None
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        code: int = self._zygote.ask(reap=self.pid)["code"]
        return code


class CrashStage:
    """Everything but a running worker; those are processes that ``start`` makes."""

    def __init__(self, harness: Harness, zygote: Zygote, values: dict[str, str], log: Path) -> None:
        self.harness = harness
        self._zygote = zygote
        self._environment = values
        self._log = log
        self.started: list[WorkerProcess] = []

    def start(self, *arguments: str, dies_at: str | None = None, given: str = "", **settings: str) -> WorkerProcess:
        """Start ``python -m worker`` with these arguments (``run`` when none), to die at a failpoint."""
        values = {**self._environment, VARIABLE: dies_at or "", **settings}
        answer = self._zygote.ask(start=list(arguments) or ["run"], environment=values, input=given, log=str(self._log))
        process = WorkerProcess(self._zygote, answer["pid"])
        self.started.append(process)
        return process

    async def spawn(self, *, dies_at: str | None = None) -> asyncio.subprocess.Process:
        """Start ``python -m worker run`` from scratch, as a supervisor does."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", "run", cwd=ROOT,
            env={**os.environ, **self._environment, VARIABLE: dies_at or ""},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def dies(self, process: WorkerProcess) -> None:
        """Wait until it has killed itself."""
        code = await process.ended()
        self.started.remove(process)
        assert code == -signal.SIGKILL, f"it was to die at its failpoint and ended with {code}\n{self.log()}"

    async def stops(self, process: WorkerProcess) -> None:
        """Ask it to end in order, once it consumes, and wait."""
        await self.consumed_by(1)
        process.send(signal.SIGTERM)
        code = await process.ended()
        self.started.remove(process)
        assert code == 0, f"asked to stop it ended with {code}\n{self.log()}"

    async def connect(self, booking: str) -> None:
        """Connect the workspace; its own event is out of the way, so that the walk's are the first of the outbox."""
        await self.harness.connect(booking=booking)
        async with self.harness.pike() as connection:
            await connection.execute("delete from economic.outbox")

    async def later(self) -> None:
        """Let leases run out and sent documents settle, as a minute would."""
        async with self.harness.pike() as connection:
            await connection.execute(_LATER)

    async def quiet(self) -> None:
        """Wait until every event has ended, every answer is out and every queue is empty."""
        await eventually(self._is_quiet, timeout_s=45, every_s=0.1, message="all is done")

    async def _is_quiet(self) -> bool:
        left = await self.unfinished()
        assert not any(left.values()), left
        return True

    async def consumed_by(self, count: int) -> None:
        """Wait until so many processes consume every lane."""

        async def consumed() -> bool:
            queues = (await self.harness.worker.broker.verify()).queues
            return all(queue.consumers >= count for queue in queues if queue.name in LANE_QUEUES.values())

        await eventually(consumed, timeout_s=DEATH_S, message=f"{count} processes consume")

    async def unfinished(self) -> dict[str, Any]:
        """Return what is still under way, by place."""
        open_events = await self.harness.rows(
            "select type, state, attempts from economic.inbox where state not in ('done', 'dead')"
        )
        outbox = await self.harness.rows("select type, attempts, last_error from economic.outbox")
        overflow = await self.harness.rows("select id, workspace_id, due_at::text from economic.overflow")
        queues = {queue.name: queue.messages for queue in (await self.harness.worker.broker.verify()).queues}
        return {
            "inbox": open_events,
            "outbox": outbox,
            "overflow": overflow,
            "queues": {name: count for name, count in queues.items() if count},
        }

    async def snapshot(self) -> dict[str, Any]:
        """Return every row that matters, without what differs from run to run."""
        rows: dict[str, Any] = {}
        for table in ("products", "customers", "invoices", "invoice_lines", "tax_rates"):
            found = await self.harness.rows(
                f"""select (to_jsonb(t) - '{_FORGOTTEN}'::text[] #- '{{last_problem,economic,log_id}}')::text as row
                    from pike.{table} t order by 1"""
            )
            rows[table] = [each["row"] for each in found]
        for name, sql in _OWN_TABLES.items():
            rows[name] = [str(list(each.values())) for each in await self.harness.rows(sql)]
        agreement = self.harness.agreement
        rows["e-conomic"] = {
            "drafts": sorted((d.number, d.other or "") for d in agreement.drafts),
            "booked": sorted((b.number, b.other or "") for b in agreement.booked),
            "customers": len(agreement.customers),
        }
        return rows

    def log(self) -> str:
        """Return the end of what the processes logged."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


_OWN_TABLES = {
    "inbox": "select type, state, outcome from economic.inbox where type not like 'pike-economic.%' order by 1, 2, 3",
    "effects": "select step, state, reference, external_number from economic.effects order by 1",
    "dead letters": "select type, cause, state from economic.dead_letters order by 1, 2",
    "connections": "select workspace_id, agreement_number, status, booking from economic.connections order by 1",
    "imports": "select state, counts::text, entities from economic.imports order by 1",
    "rejects": "select entity, external_number, reason from economic.import_rejects order by 1, 2",
    # an invoice whose answer was lost was "unknown" for a while, not "pending"; what it became is the same
    "audit": """select entity, actor, replace(changes::text, '"outcome_unknown"', '"pending"') as changes
                from economic.audit order by 1, 2, 3""",
}


async def empty_queues(amqp_url: str) -> None:
    """Purge the worker's queues, as far as they are there, of every ladder: a copy may wait there for seconds."""
    ladders = (LADDER_S, TEST_LADDER_S)
    names = {queue.name for ladder in ladders for queue in build_topology([], [], ladder).queues}
    async with await aio_pika.connect(amqp_url) as connection:
        for name in sorted(names):
            with contextlib.suppress(ChannelNotFoundEntity):
                async with connection.channel() as channel:
                    await (await channel.declare_queue(name, passive=True)).purge()


@asynccontextmanager
async def crash_stage(
    amqp_url: str, database_url: str, sandbox: Sandbox, zygote: Zygote, log: Path
) -> AsyncIterator[CrashStage]:
    """Everything connected, a listener for the answers, and nobody who works yet."""
    # a copy that meets the run of another waits on the longest rung: short ones keep the tests short
    values = environment(amqp_url, database_url, sandbox, wait_ladder_s=",".join(map(str, LADDER_S)))
    async with worker(load(values)) as idle:
        harness = Harness(load(values), sandbox, idle, database_url)
        ready = asyncio.Event()
        listener = asyncio.create_task(harness.listen(ready))
        await asyncio.wait_for(ready.wait(), 20)
        stage = CrashStage(harness, zygote, values, log)
        try:
            yield stage
        finally:
            for process in list(stage.started):
                process.send(signal.SIGKILL)
                await process.ended()
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
