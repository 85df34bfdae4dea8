"""Every statement of the store names the workspace it is about, or is listed here with the reason why it need not."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

STORE = Path(__file__).parents[3] / "worker" / "store"

_ABOUT_NOBODY = {
    "gates",
    "reconciliations",
    "workers",
    "lane_samples",
    "work_samples",
    "operator_sessions",
    "login_failures",
}
"""Tables without anything of a workspace in them."""

_TABLE = re.compile(r"\b(?:from|join|into|update|using)\s+((?:pike|economic)\.\w+)")

_BY_IDENTITY = {
    "attempts": "an attempt is found by its own id, from the cookie of the browser that began it",
    "imports": "an import's own id, taken from its row, which was found by workspace",
    "previews": "an import's own id, taken from its row, which was found by workspace",
    "inbox": "an event is one event by (source, id), whatever workspace it names; other contents are a conflict",
    "effects": "an id that the ledger knows from another workspace is refused before (worker.store.ownership)",
    "hooks": "a connection's own rows, by the id of the connection; whose are to be looked at is asked over all",
    "hints": "a connection's own rows, by the id of the connection; whose nobody reads is asked over all",
    "outbox": "rows of its own, by row id; answers of all workspaces are published by whoever comes first",
    "dead_letters": "an operator's list, of all workspaces on purpose; it can be narrowed to one",
    "replays": "an operator's campaign, over the letters that the operator chose",
    "operator_audit": "what operators did to one letter",
    "story": "found by the letter's own id",
    "schedules": "the schedule of one connection, by its id; whoever comes first takes one that is due",
    "retention": "what is old goes, whoever it was of",
    "import_history": "an import's own id, taken from its row, which was found by workspace",
    "overflow": "rows of its own, by row id, whatever workspace they are of",
    "letter_lists": "an operator's list, of all workspaces on purpose; it can be narrowed to one",
    "figures": "counts and ages over everything, for metrics; no workspace is named in them",
    "overview": "counts and ages over everything, for operators",
    "operations": "counts and ages over everything, for operators",
}
"""Modules whose statements on the worker's own tables (schema economic) are about one row, or about all on purpose."""

_READ_MODEL = {
    ("customers", "_LOCAL"): "the condition on the workspace is added where it is used",
    ("lists", "invoices"): "the condition on the workspace is the first of those that are put in",
    (
        "record_pages",
        "find",
    ): "a record found by workspace; its customer is of the same workspace (pike.refuse_foreign_identity)",
    ("reports", "top_customers"): "a function reads the workspace's invoices; customers are those of these invoices",
    ("invoices", "_lines"): "lines of invoices that the same commit wrote for this workspace",
    ("invoices", "_free_line_ids"): "lines of invoices that the same commit wrote for this workspace",
}
"""Statements on the read model that do not name the workspace themselves."""


class Statement(NamedTuple):
    module: str
    name: str
    tables: frozenset[str]
    text: str


def statements(module: str, code: str) -> list[Statement]:
    """Return the statements of a module that touch a workspace's tables and do not name the workspace."""
    found = []
    for name, text in _texts(ast.parse(code), ""):
        tables = {table for table in _TABLE.findall(text) if table.partition(".")[2] not in _ABOUT_NOBODY}
        if tables and "workspace_id" not in text:
            found.append(Statement(module, name, frozenset(tables), " ".join(text.split())[:100]))
    return found


def _texts(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        here = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            here = child.name
        elif isinstance(child, ast.Assign) and isinstance(node, ast.Module):
            here = ast.unparse(child.targets[0])
        if isinstance(child, ast.Constant | ast.JoinedStr):
            yield here, _text(child)
        else:
            yield from _texts(child, here)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def unscoped() -> list[Statement]:
    return [each for path in sorted(STORE.rglob("*.py")) for each in statements(path.stem, path.read_text())]


def test_every_statement_on_the_read_model_names_the_workspace() -> None:
    missing = [
        each
        for each in unscoped()
        if any(table.startswith("pike.") for table in each.tables) and (each.module, each.name) not in _READ_MODEL
    ]
    assert missing == [], "add the workspace to the condition, or say in _READ_MODEL why it need not be there"


def test_every_statement_on_the_workers_own_tables_names_the_workspace_or_has_a_reason() -> None:
    missing = [
        each
        for each in unscoped()
        if all(table.startswith("economic.") for table in each.tables) and each.module not in _BY_IDENTITY
    ]
    assert missing == [], "add the workspace to the condition, or say in _BY_IDENTITY why it need not be there"


def test_no_reason_is_left_over() -> None:
    found = unscoped()
    assert set(_READ_MODEL) <= {(each.module, each.name) for each in found}
    assert set(_BY_IDENTITY) <= {each.module for each in found}


def test_a_statement_without_a_workspace_is_noticed() -> None:
    code = 'async def find(c, number):\n    return await c.fetch("select id from pike.products where sku = $1", number)'
    (found,) = statements("products", code)
    assert (found.name, found.tables) == ("find", {"pike.products"})
