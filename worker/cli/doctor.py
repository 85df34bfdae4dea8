"""``doctor``: one check after another, each with what was found and what to do about it."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import click

from worker.bootstrap import make_broker, make_client, make_database, make_vault
from worker.broker.declare import TopologyState
from worker.cli.output import BAD_ANSWER, print_json, with_settings
from worker.clock import SystemClock
from worker.economic.client import EconomicClient
from worker.errors import SchemaMismatch, WithProblem, WorkerError
from worker.runtime.surroundings import Finding, examine_broker, examine_store
from worker.settings import Settings
from worker.store import connections, hooks, migrate
from worker.store.connections import EconomicConnection, open_grant
from worker.store.crypto import CannotOpen, Vault


@dataclass(frozen=True)
class Check:
    """One finding. ``remedy`` is empty when all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


async def doctor(as_json: bool) -> int:
    """Run every check, also when an earlier one fails. Exit code 1 when anything is wrong."""
    settings: Settings = with_settings()
    checks = [Check("settings", True, "complete")]
    for name, check in _CHECKS.items():
        try:
            checks += await check(settings)
        except WithProblem as exc:
            checks.append(Check(name, False, exc.problem.user_message, exc.problem.remedy))
        except SchemaMismatch as exc:
            checks.append(
                Check(name, False, str(exc), "Nothing was changed. Do so, then type pike-economic doctor again.")
            )
        except WorkerError as exc:
            checks.append(Check(name, False, str(exc), _REMEDIES[name]))
    ok = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": ok, "checks": [asdict(check) for check in checks], "settings": settings.redacted()})
    else:
        _print(checks, settings)
    return 0 if ok else BAD_ANSWER


async def _keys(settings: Settings) -> list[Check]:
    vault = make_vault(settings)
    return [Check("encryption keys", True, f"new grants are sealed with key '{vault.current}'")]


async def _database(settings: Settings) -> list[Check]:
    missing = await migrate.check(settings.database_url.get_secret_value())
    if missing:
        return [Check("database", False, f"migrations missing: {', '.join(missing)}", "Type: pike-economic migrate")]
    database = make_database(settings, max_size=1)
    await database.connect()
    try:
        found = await examine_store(database, make_vault(settings), SystemClock())
    finally:
        await database.close()
    return [Check("database", True, "all migrations applied, every table there"), *map(_check, found)]


def _check(finding: Finding) -> Check:
    return Check(finding.name, finding.level == "well", finding.detail, finding.remedy)


async def _broker(settings: Settings) -> list[Check]:
    broker = make_broker(settings, SystemClock())
    version = _check(await examine_broker(broker))
    before = await broker.verify()
    await broker.start()  # declares, which compares every argument
    try:
        state = await broker.verify()
    finally:
        await broker.stop(0.0)
    checks = [version, _declared(before, state)]
    for queue in state.queues:
        if queue.name in ("pike-economic.work", "pike-economic.bulk"):
            detail = f"{queue.messages} waiting, {queue.consumers} consumers"
            checks.append(
                Check(f"queue {queue.name}", queue.consumers > 0, detail,
                      "" if queue.consumers else "No worker is consuming. Type: pike-economic run")
            )  # fmt: skip
    return checks


def _declared(before: TopologyState, now: TopologyState) -> Check:
    """Say what was missing: on a new broker everything is, later it is somebody's deed."""
    missing = [*before.missing_exchanges, *(queue.name for queue in before.queues if not queue.exists)]
    detail = f"{len(now.queues)} queues as declared"
    if not missing or len(missing) == len(before.queues) + len(before.missing_exchanges):
        return Check("broker", now.complete, detail + (", all of them just now" if missing else ""))
    return Check(
        "broker",
        False,
        f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} missing and declared again just now",
        "Find out who deleted it. What lay in it is gone: have Pike's services publish again, with the same ids, what "
        "has no answer; pike-economic reconcile names what had been taken up.",
    )


async def _economic(settings: Settings) -> list[Check]:
    database = make_database(settings, max_size=1)
    vault = make_vault(settings)
    await database.connect()
    checks = []
    try:
        async with database.connection("doctor") as connection:
            found = await connections.find_all(connection)
        async with make_client(settings, SystemClock()) as client:
            for each in found:
                name = f"e-conomic for workspace {each.workspace_id}"
                if not each.active:
                    checks.append(Check(name, each.status == "closed", each.status, _reconnect(each.status)))
                    continue
                checks.append(await _agreement(name, client, vault, each))
    finally:
        await database.close()
    return checks or [Check("e-conomic", True, "no workspace is connected yet")]


async def _agreement(name: str, client: EconomicClient, vault: Vault, each: EconomicConnection) -> Check:
    """Ask one agreement who it is; the others are asked whatever comes of it."""
    try:
        api = client.for_grant(open_grant(vault, each), agreement_number=each.agreement_number)
        agreement = await api.get_self()
    except WithProblem as exc:
        return Check(name, False, exc.problem.user_message, exc.problem.remedy)
    except CannotOpen as exc:
        return Check(name, False, str(exc), "See the encryption keys above; or connect the workspace again.")
    return Check(name, True, f"agreement {agreement.agreement_number}, {agreement.company.name}")


async def _freshness(settings: Settings) -> list[Check]:
    if not settings.public_url:
        return [Check("webhooks", True, "no PUBLIC_URL: changes arrive by the schedule only")]
    database = make_database(settings, max_size=1)
    await database.connect()
    try:
        async with database.connection("doctor") as connection:
            found = [each for each in await connections.find_all(connection) if each.active]
            states = {each.workspace_id: await hooks.listed(connection, each.id) for each in found}
    finally:
        await database.close()
    return [
        Check(
            f"webhooks of workspace {workspace}",
            all(row["state"] == "on" for row in rows),
            ", ".join(f"{row['event_type']} {row['state']}" for row in rows) or "not looked at yet",
            "Changes arrive by the schedule only: see PikeEconomicHooksMissing in deploy/runbook.md.",
        )
        for workspace, rows in states.items()
    ]


def _reconnect(status: str) -> str:
    return "" if status == "closed" else "Reconnect it: pike-economic connect --workspace W --grant-token -"


_CHECKS: dict[str, Callable[[Settings], Awaitable[list[Check]]]] = {
    "encryption keys": _keys,
    "database": _database,
    "broker": _broker,
    "e-conomic": _economic,
    "webhooks": _freshness,
}

_REMEDIES: dict[str, str] = {
    "encryption keys": "Correct PIKE_ECONOMIC_ENCRYPTION_KEYS.",
    "database": "Check PIKE_ECONOMIC_DATABASE_URL and that Postgres runs.",
    "broker": "Check PIKE_ECONOMIC_AMQP_URL and that RabbitMQ runs.",
    "e-conomic": "Check the database first.",
    "webhooks": "Check the database first.",
}


def _print(checks: list[Check], settings: Settings) -> None:
    for check in checks:
        mark = click.style("ok ", fg="green") if check.ok else click.style("BAD", fg="red", bold=True)
        click.echo(f"{mark}  {check.name}: {check.detail}")
        if check.remedy and not check.ok:
            click.echo(f"     → {check.remedy}")
    click.echo()
    for name, value in settings.redacted().items():
        click.echo(f"     {name:<18} {value}")
