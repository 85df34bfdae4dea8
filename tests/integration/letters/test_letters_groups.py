"""Dead letters by cause: what belongs together, the remedy, and the documents concerned."""

import json
from typing import Any

import pytest
from letters_kit import BARRED, bury, invoice_event

from worker.runtime.letters import Group, document_of, group
from worker.store import dead_letters
from worker.store.pool import Database

pytestmark = pytest.mark.requirement("B3")


async def groups(database: Database, agreements: dict[str, int] | None = None) -> list[Group]:
    async with database.connection("test") as connection:
        return await group(dead_letters.search_all(connection, state="open"), agreements or {"ws": 7})


async def test_letters_of_one_cause_code_property_and_agreement_are_one_group(database: Database) -> None:
    first, second = await bury(database, invoice_event("First")), await bury(database, invoice_event("Second"))
    (found,) = await groups(database)
    key = found.key
    assert (key.cause, key.error_code, key.place, key.agreement_number) == (
        "product_barred", "E06600", "ProductNumber", 7,
    )  # fmt: skip
    assert (found.count, found.remedy) == (2, "Unbar the product.")
    assert found.oldest == first.received_at
    assert [(each.letter_id, each.kind, each.title) for each in found.documents] == [
        (first.id, "invoice", "First"),
        (second.id, "invoice", "Second"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"economic": {"error_code": "E04041", "property": "ProductNumber"}},
        {"economic": {"error_code": "E06600", "property": "Date"}},
        {"cause": "period_barred"},
    ],
    ids=["code", "property", "cause"],
)
async def test_what_needs_another_remedy_is_another_group(database: Database, other: dict[str, Any]) -> None:
    await bury(database)
    await bury(database, problem={**BARRED, **other})
    assert [each.count for each in await groups(database)] == [1, 1]


async def test_another_agreement_is_another_group(database: Database) -> None:
    await bury(database)
    await bury(database, invoice_event() | {"workspaceid": "other"})
    assert len(await groups(database, {"ws": 7, "other": 8})) == 2


async def test_line_numbers_do_not_tear_a_group_apart(database: Database) -> None:
    for line in (0, 3):
        problem = {**BARRED, "economic": None, "fields": [f"lines[{line}].description"]}
        await bury(database, problem=problem)
    (found,) = await groups(database)
    assert found.key.place == "lines[].description"


async def test_more_letters_than_a_page_are_all_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_PAGE", 2)
    for _ in range(5):
        await bury(database)
    assert [each.count for each in await groups(database)] == [5]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"specversion": "1.0", "data": {"entity": "product", "external_number": "4711"}}', "product 4711"),
        (b'{"entity": "customer", "id": "c-1"}', "customer c-1"),
        (b'{"data": {"entities": ["products", "customers"]}}', 'import event-1 "products, customers"'),
        (b'{"data": {"id": "p-1", "changes": {}}}', "invoice p-1"),
        (b"\xff not json", "invoice event-1"),
        (b"[1]", "invoice event-1"),
    ],
)
async def test_documents_are_read_from_whatever_body(database: Database, body: bytes, name: str) -> None:
    letter = await bury(database, body=body, event_id="event-1")
    assert document_of(letter).name == name


async def test_nan_and_depth_do_not_break_the_list(database: Database) -> None:
    await bury(database, body=json.dumps({"data": float("nan")}).encode())
    await bury(database, body=b"[" * 100_000)
    assert [each.count for each in await groups(database)] == [2]
