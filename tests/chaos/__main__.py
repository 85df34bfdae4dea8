"""``make chaos``: what was injected and survived; the last line is one JSON object; exit 1 when not all is well."""

import argparse
import asyncio
import contextlib
import json
import sys
import time

from tests.chaos.plan import Plan
from tests.chaos.run import lapse, prepare, publish_all, stage, torment
from tests.chaos.verdict import Verdict, judge, settle
from worker.telemetry.logging import configure


def main() -> int:
    """Parse sizes and run."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--workspaces", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long events are sent and faults injected")
    parser.add_argument("--settle", type=float, default=300.0, help="how long everything may take to end afterwards")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="the run of make test: a minute, every kind of fault")
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    options = parser.parse_args()
    configure(level="CRITICAL")
    plan = Plan.short(options.seed) if options.short else Plan(
        events=options.events, workspaces=options.workspaces, seed=options.seed,
        sending_s=options.seconds, settle_s=options.settle,
    )  # fmt: skip
    return asyncio.run(chaos(plan, quiet=options.json))


async def chaos(plan: Plan, *, quiet: bool) -> int:
    """Run the suite once and print its verdict."""

    def say(text: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    begun = time.monotonic()
    async with stage(plan, say) as run:
        known = await prepare(run)
        for _ in range(plan.workers):
            await run.start_worker()
        for kind, fault in plan.fault_rules():
            run.sandbox.add_fault(kind, **fault)
        share = f"{plan.fault_share:.0%}"
        say(f"{plan.events} events, {plan.workspaces} workspaces, {share} API faults, seed {plan.seed}")
        collecting = asyncio.create_task(run.answers.collect())
        tormenting = asyncio.create_task(torment(run))
        await publish_all(run, known)
        run.stopped = True
        await tormenting
        run.faults.update(run.sandbox.faults.counts)
        run.sandbox.faults.clear()
        await lapse(run)
        say("all sent; no more faults; settling")
        await settle(run)
        verdict = await judge(run)
        collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await collecting
        faults = dict(sorted(run.faults.items()))
    _print(verdict, faults, time.monotonic() - begun, plan.seed, quiet)
    return 0 if verdict.lost == verdict.double == 0 else 1


def _print(verdict: Verdict, faults: dict[str, int], seconds: float, seed: int, quiet: bool) -> None:
    if quiet and (verdict.lost or verdict.double):
        print(verdict.detail, file=sys.stderr)
    if not quiet:
        print("\nfaults injected and survived")
        for kind, count in faults.items():
            print(f"  {kind:<18} {count:>6}")
        print("\ncounted at the end")
        for name, value in verdict.detail.items():
            print(f"  {name:<22} {dict(value) if isinstance(value, dict) else value}")
    print(
        json.dumps(
            {
                "sent": verdict.sent, "outcomes": verdict.outcomes, "lost": verdict.lost, "double": verdict.double,
                "faults": faults, "seconds": round(seconds, 1), "seed": seed,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
