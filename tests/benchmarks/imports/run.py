"""``make bench SECTION=imports``: whole imports by one worker process, beside dlt and Airbyte's source, on one machine.

Servers, API stub and the subject run on loopback. Between runs Pike's tables are emptied. Medians; ``--quick`` for one
round of small sizes. What each measure needs is told by its function.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.imports import stack
from tests.benchmarks.results_file import Measured, keep
from worker.servers import Servers, provide

CONTACTS = 0.6
"""Contacts per customer in the stub."""
IN_FLIGHT = 4
"""Calls of one list that the worker has under way at once; contacts are read beside them."""


@dataclass(frozen=True)
class Bench:
    """Sizes and servers of a run."""

    servers: Servers
    rounds: int
    customers: int
    invoices: int
    largest: int
    dlt_python: Path
    airbyte_python: Path
    say: Callable[[str], None]

    def median(self, name: str, runs: Sequence[float], unit: str) -> float:
        """Say and return the median."""
        middle = statistics.median(runs)
        self.say(f"  {name}: {middle:,.1f} {unit}   ({', '.join(f'{run:,.1f}' for run in runs)})")
        return middle

    @contextmanager
    def api(self, **sizes: float) -> Iterator[str]:
        """Run the stub; the worker's settings point at it."""
        latency = sizes.pop("latency_ms", 0)
        with stack.api(latency_ms=latency, **{name: int(size) for name, size in sizes.items()}) as address:
            yield address

    @asynccontextmanager
    async def worker(self, address: str) -> AsyncIterator[stack.WorkerProcess]:
        """Empty tables, two connected workspaces, one fresh worker that has done nothing yet."""
        values = stack.environment(self.servers, address)
        await stack.connect(values, "bench", "other")
        await stack.truncate(self.servers)
        async with stack.worker(values) as running:
            await running.import_all("products")  # pools are full, statements are known
            yield running


@dataclass(frozen=True)
class Imported:
    """One import of customers: rows a second (contacts counted), seconds, peak memory."""

    rate: float
    seconds: float
    peak_mb: float


async def import_customers(bench: Bench, count: int, latency_ms: float = 0) -> Imported:
    """Import so many customers with their contacts into empty tables."""
    with bench.api(customers=count, products=1, latency_ms=latency_ms) as address:
        async with bench.worker(address) as worker:
            answer, seconds = await worker.import_all("customers")
            assert answer.data.counts["customers"].created == count, answer.data
            return Imported(count * (1 + CONTACTS) / seconds, seconds, worker.peak_mb())


def run_dlt(bench: Bench) -> Iterator[float]:
    """The same lists into the same Postgres by dlt."""
    with bench.api(customers=bench.customers) as address, tempfile.TemporaryDirectory() as folder:
        command = [str(bench.dlt_python), "-m", "tests.benchmarks.imports.peer_dlt"]
        done = subprocess.run(
            [*command, address, bench.servers.database_url, folder], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["rows"] == bench.customers * (1 + CONTACTS), found
        yield found["rows"] / found["seconds"]


def run_airbyte(bench: Bench, address: str, *streams: str) -> tuple[int, float]:
    """Read streams by Airbyte's source; return records and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).parent / "peer_airbyte.py"
        began = time.perf_counter()
        done = subprocess.run(
            [str(bench.airbyte_python), str(script), address, folder, *streams],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.count('"type": "RECORD"'), time.perf_counter() - began


def against_dlt(bench: Bench) -> Iterator[Measured]:
    """Customers and contacts into Postgres, rows a second, side by side."""
    ours, theirs = [], []
    for _ in range(bench.rounds):
        ours.append(asyncio.run(import_customers(bench, bench.customers)).rate)
        if bench.dlt_python.exists():
            theirs += run_dlt(bench)
    rate = bench.median("customers and contacts, worker", ours, "rows/s")
    if theirs:
        peer = bench.median("customers and contacts, dlt", theirs, "rows/s")
        yield Measured("customers + contacts, rows/s", rate, "1/s", "dlt", peer, "≥ 10 × dlt", rate >= 10 * peer)
    else:
        yield Measured("customers + contacts, rows/s", rate, "1/s", target="dlt is not installed")
    if bench.airbyte_python.exists():
        count = min(bench.customers, 10_000)
        with bench.api(customers=count) as address:
            runs = []
            for _ in range(bench.rounds):
                records, seconds = run_airbyte(bench, address, "customers")
                assert records == count, records
                runs.append(records / seconds)
        peer = bench.median("customers, Airbyte", runs, "records/s")
        yield Measured("the same against Airbyte's source", rate, "1/s", "Airbyte", peer, "≥ 40 ×", rate >= 40 * peer)


def invoices_with_lines(bench: Bench) -> Iterator[Measured]:
    """Invoices with three lines and tax rates: calls and tokens; and Airbyte's calls for the same."""
    rates, calls, tokens = [], 0.0, 0.0
    for _ in range(bench.rounds):
        rate, calls, tokens = asyncio.run(_import_invoices(bench))
        rates.append(rate)
    rate = bench.median("invoices with lines", rates, "invoices/s")
    yield Measured("invoices with three lines, invoices/s", rate, "1/s")
    yield Measured("calls per 1,000 invoices", calls, "", target="≤ 6", met=calls <= 6)
    yield Measured("tokens per imported invoice", tokens, "", target="≤ 0.02", met=tokens <= 0.02)
    if bench.airbyte_python.exists():
        count = 1000
        with bench.api(invoices=count, customers=100) as address:
            records, _ = run_airbyte(bench, address, "invoices_booked", "invoices_booked_document")
            assert records == 2 * count, records
            theirs = stack.calls_of(address)["calls"] / count * 1000
        fewer = theirs / calls
        yield Measured("fewer calls than Airbyte", fewer, "×", "Airbyte", theirs, "≥ 100 ×", fewer >= 100)


async def _import_invoices(bench: Bench) -> tuple[float, float, float]:
    with bench.api(customers=1000, products=500, invoices=bench.invoices) as address:
        async with bench.worker(address) as worker:
            await worker.import_all("customers")
            before = stack.calls_of(address)
            answer, seconds = await worker.import_all("invoices")
            after = stack.calls_of(address)
            assert answer.data.counts["invoices"].created == bench.invoices, answer.data
            calls = (after["calls"] - before["calls"]) / bench.invoices * 1000
            return bench.invoices / seconds, calls, (after["tokens"] - before["tokens"]) / bench.invoices


def with_latency(bench: Bench) -> Iterator[Measured]:
    """150 ms a call: how near the import comes to the slower of waiting and computing."""
    runs = [asyncio.run(import_customers(bench, bench.customers, latency_ms=150)).seconds for _ in range(bench.rounds)]
    computing = [asyncio.run(import_customers(bench, bench.customers)).seconds for _ in range(bench.rounds)]
    seconds = bench.median("customers at 150 ms a call", runs, "s")
    waiting = bench.customers / 1000 * 0.150 / IN_FLIGHT
    bound = max(waiting, statistics.median(computing))
    yield Measured(
        "customers at 150 ms a call, seconds", seconds, "s", "the slower of waiting and computing", bound,
        "≤ 1.5 ×", seconds <= 1.5 * bound,
    )  # fmt: skip


def growing(bench: Bench) -> Iterator[Measured]:
    """Memory and time per row as the list grows."""
    sizes = [bench.largest // 100, bench.largest // 10, bench.largest]
    found = {size: asyncio.run(import_customers(bench, size)) for size in sizes}
    for size, run in found.items():
        bench.say(f"  {size:,} customers: {run.rate:,.0f} rows/s, peak {run.peak_mb:.0f} MB")
    peak = found[bench.largest].peak_mb
    yield Measured(f"peak memory at {bench.largest:,} customers", peak, "MB", target="≤ 150 MB", met=peak <= 150)
    slower = found[sizes[0]].rate / found[bench.largest].rate - 1
    yield Measured(
        f"time per row, {sizes[0]:,} → {bench.largest:,}", slower * 100, "% more", target="≤ 15 %", met=slower <= 0.15
    )


def nothing_changed(bench: Bench) -> Iterator[Measured]:
    """A second import of the same."""
    first, second, versions, announced = [], [], 0, 0
    for _ in range(bench.rounds):
        one, two, written, events = asyncio.run(_twice(bench))
        first.append(one)
        second.append(two)
        versions, announced = versions + written, announced + events
    one = bench.median("first import", first, "s")
    two = bench.median("second import, nothing changed", second, "s")
    yield Measured("second import, seconds", two, "s", "the first", one, "≤ 0.5 ×", two * 2 <= one)
    yield Measured("row versions written by it", versions, "", target="0", met=versions == 0)
    yield Measured("records.changed sent by it", announced, "", target="0", met=announced == 0)


async def _twice(bench: Bench) -> tuple[float, float, int, int]:
    with bench.api(customers=bench.customers, products=1) as address:
        async with bench.worker(address) as worker:
            _, first = await worker.import_all("customers")
            before = await stack.row_versions(bench.servers)
            _, second = await worker.import_all("customers")
            written = len(await stack.row_versions(bench.servers) - before)
            return first, second, written, worker.changed


def beside_a_large_import(bench: Bench) -> Iterator[Measured]:
    """Refreshes of one workspace while another imports: the slowest of a hundred."""
    idle, busy = asyncio.run(_refreshes(bench))
    yield Measured(
        "p99 of a refresh beside a large import", busy * 1000, "ms", "idle", idle * 1000, "≤ 3 ×", busy <= 3 * idle
    )


async def _refreshes(bench: Bench) -> tuple[float, float]:
    with bench.api(customers=bench.largest, products=1) as address:
        async with bench.worker(address) as worker:
            await worker.refreshes("other", 20)
            idle = await worker.refreshes("other", 300)
            importing = asyncio.create_task(worker.import_all("customers"))
            await asyncio.sleep(1)
            busy = await worker.refreshes("other", 300)
            assert not importing.done(), "the import ended before the refreshes did: take a larger one"
            importing.cancel()
            await asyncio.gather(importing, return_exceptions=True)
            return _p99(idle), _p99(busy)


def _p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


MEASURES = (against_dlt, invoices_with_lines, with_latency, growing, nothing_changed, beside_a_large_import)


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=imports ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs per measure; the median counts")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--invoices", type=int, default=50_000)
    parser.add_argument("--largest", type=int, default=1_000_000, help="customers of the largest import")
    parser.add_argument("--only", default="", help=f"of {', '.join(m.__name__ for m in MEASURES)}; separated by commas")
    parser.add_argument("--quick", action="store_true", help="one round of small sizes; keeps no results")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment with dlt")
    parser.add_argument("--airbyte", type=Path, default=Path(".venv-airbyte"), help="Python 3.10 with Airbyte's source")
    return parser.parse_args(options)


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run the measures and keep what they found."""
    args = arguments(options)
    if args.quick:
        args.rounds, args.customers, args.invoices, args.largest = 1, 10_000, 5_000, 50_000
    found: list[Measured] = []
    with provide(announce=say, durable=True) as servers:
        bench = Bench(
            servers, args.rounds, args.customers, args.invoices, args.largest,
            args.peers / "bin" / "python", args.airbyte / "bin" / "python", say,
        )  # fmt: skip
        for measure in MEASURES:
            if not args.only or measure.__name__ in args.only.split(","):
                say(f"{measure.__name__.replace('_', ' ')}")
                found += list(measure(bench))
    if not args.quick and not args.only:
        say(f"kept in {keep('imports', found)}")
    else:
        keep("imports-partial", found)


if __name__ == "__main__":
    main()
