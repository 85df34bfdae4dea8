"""The reference pages, made from the code that they describe. Text that no code knows stays in hand-written pages."""

import json
import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from typing import Any

import click

from events import EVENTS, answers
from events.contract.schemas import ANSWERS, REQUESTS, components, example
from events.failures import failure_of
from schemas.problem import Cause
from worker.cli.app import cli
from worker.economic.cause_table import RULES
from worker.settings import PREFIX, Settings

NOTE = "<!-- Made from the code by `make docs`; not to be edited by hand. -->\n\n"

_PAGES = "../../contract/schemas"


def settings() -> str:
    """The environment, in the order of the model. Raises ``ValueError`` for a setting that says nothing of itself."""
    rows = []
    for name, field in Settings.model_fields.items():
        if not field.description:
            raise ValueError(f"worker.settings.Settings.{name} has no docstring below it")
        default = "**required**" if field.is_required() else _default(field.get_default(call_default_factory=True))
        rows.append(f"| `{PREFIX}{name.upper()}` | {_cell(field.description)} | {default} |")
    return "\n".join(
        [
            "# Settings\n",
            f"{NOTE}Read from the environment, once. Any of them with `_FILE` behind its name is a file that holds the value (secrets of",
            "container platforms). A missing or bad one stops the start with a sentence that names it;",
            "`pike-economic doctor` shows what is in force, secrets as *set* or *not set*.\n",
            "| variable | meaning | default |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def events() -> str:
    """Every public type: what it says, its fields, and what ends it."""
    parts = [
        "# Events\n",
        f"{NOTE}One durable topic exchange, `pike.events`; the routing key is the type. CloudEvents 1.0, structured mode.",
        "The same as a machine reads it: [AsyncAPI](../../contract/asyncapi.json), a [JSON Schema](../../contract/schemas)",
        "of each. Leave alone fields and kinds that you do not know, and never rely on order.\n",
        "| Pike publishes | it ends with | it fails with |\n|---|---|---|",
    ]
    for name in REQUESTS:
        request: Any = EVENTS[name]
        failed = failure_of[request].TYPE
        ends = [_link(each.TYPE) for each in answers.ANSWERS[request] if failed != each.TYPE]
        parts.append(f"| {_link(name)} | {', '.join(ends) or 'silence (below)'} | {_link(failed)} |")
    parts += [
        "",
        "Silence means consent: a change that is allowed is not answered, a cancelled import is answered under its own id.\n",
    ]
    parts += ["## What Pike publishes\n", *(_event(name) for name in REQUESTS)]
    parts += ["## What the worker answers\n", *(_event(name) for name in ANSWERS)]
    shapes = sorted(set(components()) - set(EVENTS) - {event.__name__ for event in EVENTS.values()})
    parts += ["## Shapes that they share\n", *(_shape(name) for name in shapes)]
    return "\n".join(parts)


def commands() -> str:
    """Every command with its options, as ``--help`` says them."""
    parts = [
        "# Commands\n",
        f"{NOTE}Commands that print something take `--json` (stable keys on stdout; logs go to stderr). Exit codes: 0 done,",
        "1 the answer is bad, 2 usage or settings. `python -m worker` is the same as `pike-economic`.\n",
    ]
    for path, command in _commands("pike-economic", cli):
        if isinstance(command, click.Group) or command.hidden:
            continue
        context = click.Context(command, info_name=path)
        pieces = " ".join(command.collect_usage_pieces(context))
        parts += [f"## `{path}`\n", f"```\n{path} {pieces}\n```\n", f"{_plain(cleandoc(command.help or ''))}\n"]
        told = [each.get_help_record(context) for each in command.get_params(context)]
        rows = [record for record in told if record and record[0] != "--help"]
        if rows:
            parts.append("| option | meaning |\n|---|---|")
            parts += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in rows]
            parts.append("")
    return "\n".join(parts)


def causes() -> str:
    """The closed set of reasons, and which of e-conomic's own codes lead to each."""
    codes: dict[str, list[str]] = {}
    for rule in RULES:
        names = ", ".join(f"`{name}`" for name in sorted(rule.properties))
        finding = f"`{rule.code}`" + (f" at {names}" if names else "")
        for cause in _causes_of(rule):
            codes.setdefault(cause, []).append(finding)
    return "\n".join(
        [
            "# Causes\n",
            f"{NOTE}Every failure carries one of these as `problem.cause`, with a sentence (`user_message`) and what to do",
            "(`remedy`). The set grows: for a cause that you do not know, show the two sentences. e-conomic's errors are told",
            "by code and property, never by their text.\n",
            "| cause | from e-conomic's |\n|---|---|",
            *(f"| `{cause.value}` | {'; '.join(codes.get(cause.value, [])) or '–'} |" for cause in Cause),
            "",
        ]
    )


def _causes_of(rule: Any) -> set[str]:
    from worker.economic.findings import Finding

    name = next(iter(sorted(rule.properties)), "field")
    found = {rule.explain(Finding((name,), rule.code, name, 1))[0].value}
    return found | {rule.explain(Finding(("lines", 0, name), rule.code, name, 1))[0].value}


def _event(name: str) -> str:
    schema = components()[name]
    body = components()[EVENTS[name].__name__]
    sample = json.dumps(example(name)["data"], indent=2, ensure_ascii=False)
    return "\n".join(
        [
            f"### `{name}`\n",
            f"{schema['description']} ([schema]({_PAGES}/{name}.schema.json))\n",
            *_fields(body),
            f"<details><summary>example of <code>data</code></summary>\n\n```json\n{sample}\n```\n\n</details>\n",
        ]
    )


def _shape(name: str) -> str:
    shape = components()[name]
    lines = [f"### `{name}`\n"]
    if shape.get("description"):
        lines.append(f"{shape['description']}\n")
    if "enum" in shape:
        lines.append(f"One of {', '.join(f'`{value}`' for value in shape['enum'])}.\n")
    return "\n".join([*lines, *_fields(shape)])


def _fields(shape: Mapping[str, Any]) -> list[str]:
    properties = shape.get("properties", {})
    if not properties:
        return []
    needed = set(shape.get("required", ()))
    rows = ["| field | type | |\n|---|---|---|"]
    for name, field in properties.items():
        default = field.get("default")
        may = "" if name in needed else "optional" if default is None else f"default `{json.dumps(default)}`"
        about = "; ".join(part for part in (may, field.get("description", "")) if part)
        rows.append(f"| `{name}` | {_cell(_type(field))} | {_cell(about)} |")
    return [*rows, ""]


def _type(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911  # one row of the table, one return
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(branch) for branch in schema["anyOf"]))
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    if kind == "string" and "pattern" in schema and "[0-9]" in schema["pattern"]:
        return "decimal text"
    return str(schema.get("format") or kind or "anything")


def _commands(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name in sorted(group.commands):
        command = group.commands[name]
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(f"{path} {name}", command)


def _default(value: Any) -> str:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, Mapping):
        value = ",".join(f"{kind}:{days}" for kind, days in value.items())
    if isinstance(value, tuple):
        value = ",".join(f"{part:g}" for part in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "–"


def _link(name: str) -> str:
    return f"[`{name}`](#{anchor(name)})"


def anchor(heading: str) -> str:
    """As GitHub makes it: lower case, signs dropped, blanks to dashes."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _plain(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text.replace("\b", "").strip())


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
