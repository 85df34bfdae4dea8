"""``doctor``: one check after another, each with what was found and what to do about it."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import click

from worker.bootstrap import make_broker, make_client, make_database, make_vault
from worker.cli.output import BAD_ANSWER, print_json, with_settings
from worker.clock import SystemClock
from worker.errors import WithProblem, WorkerError
from worker.settings import Settings
from worker.store import connections, hooks, migrate
from worker.store.connections import open_grant


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
        async with database.connection("doctor") as connection:
            version = await connection.fetchval("show server_version")
    finally:
        await database.close()
    return [Check("database", True, f"Postgres {version}, all migrations applied")]


async def _broker(settings: Settings) -> list[Check]:
    broker = make_broker(settings, SystemClock())
    await broker.start()  # declares, which compares every argument
    try:
        state = await broker.verify()
    finally:
        await broker.stop(0.0)
    checks = [Check("broker", state.complete, f"{len(state.queues)} queues as declared", "")]
    for queue in state.queues:
        if queue.name in ("pike-economic.work", "pike-economic.bulk"):
            detail = f"{queue.messages} waiting, {queue.consumers} consumers"
            checks.append(
                Check(f"queue {queue.name}", queue.consumers > 0, detail,
                      "" if queue.consumers else "No worker is consuming. Type: pike-economic run")
            )  # fmt: skip
    return checks


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
                api = client.for_grant(open_grant(vault, each), agreement_number=each.agreement_number)
                agreement = await api.get_self()
                checks.append(Check(name, True, f"agreement {agreement.agreement_number}, {agreement.company.name}"))
    finally:
        await database.close()
    return checks or [Check("e-conomic", True, "no workspace is connected yet")]


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
