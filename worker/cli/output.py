"""What commands print: tables and sentences for people, JSON with stable keys for programs; logs go to stderr."""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import wraps
from typing import Any, NoReturn, ParamSpec
from uuid import UUID

import click

from worker.insight.plain import plain

P = ParamSpec("P")

OK, BAD_ANSWER, USAGE = 0, 1, 2
"""Exit codes: done; the answer is bad; usage or settings."""


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, default=plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str, title: str | None = None
) -> None:
    """Print a table; ``empty`` is the sentence when there is nothing to show."""
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console  # late: help does not need it
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        is_id = all(isinstance(row[index], UUID) for row in rows)
        table.add_column(column, overflow="fold", no_wrap=is_id)  # an id that is cut in two cannot be copied
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(soft_wrap=False, width=None if sys.stdout.isatty() else 140).print(table)


def _cell(value: object) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return escape(str(plain(value)) if isinstance(value, Decimal | date | UUID) else str(value))


def fail(message: str, code: int) -> NoReturn:
    """Print one sentence on stderr and end."""
    click.echo(message, err=True)
    sys.exit(code)


def command(function: Callable[P, Awaitable[int | None]]) -> Callable[P, None]:
    """Run a command's coroutine; expected trouble becomes one sentence and exit code 2, the rest a traceback."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from worker.errors import BrokerError, SchemaMismatch, SettingsError, StoreUnavailable, WithProblem
        from worker.loop import run as run_loop

        async def main() -> int | None:
            return await function(*args, **kwargs)

        try:
            code = run_loop(main())
        except (SettingsError, SchemaMismatch, StoreUnavailable, BrokerError) as exc:
            fail(_sentence(str(exc)), USAGE)
        except WithProblem as exc:
            fail(f"{exc.problem.user_message} {exc.problem.remedy}", BAD_ANSWER)
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(code or OK)

    return run


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def with_settings() -> Any:
    """Read the settings and teach the log redactor their secrets. Raises ``SettingsError``."""
    from worker.settings import load
    from worker.telemetry.logging import configure
    from worker.telemetry.redaction import REDACTOR

    settings = load()
    REDACTOR.learn(settings.secrets())
    configure(level=settings.log_level)
    return settings
