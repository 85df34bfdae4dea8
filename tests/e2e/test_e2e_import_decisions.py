"""What people decide about imports on the command line: undo a deactivation (R11), resolve a match (B11)."""

from uuid import UUID, uuid4

import pytest
from harness import WORKSPACE, Harness
from support import eventually
from test_cli import call, env  # noqa: F401  # env is a fixture

from worker.sandbox import Agreement

Env = dict[str, str]


async def own(running: Harness, table: str, name: str) -> UUID:
    found: UUID = await running.value(
        f"insert into pike.{table} (workspace_id, name) values ($1, $2) returning id", WORKSPACE, name
    )
    return found


@pytest.mark.requirement("R11", "B14")
async def test_undo_activates_what_that_import_deactivated_audits_and_announces_it(
    running: Harness,
    env: Env,  # noqa: F811
) -> None:
    product = await own(running, "products", "Egen")
    done = await running.import_all("products")
    assert done.data.counts["products"].deactivated == 1
    undone = await call(env, "import", "undo", done.correlation_id or "", "-w", WORKSPACE, "--json")
    assert (undone.code, undone.json["activated"]) == (0, [str(product)])
    assert await running.rows("select active, deactivated_by_import from pike.products where id = $1", product) == [
        {"active": True, "deactivated_by_import": None}
    ]
    audit = await running.rows("select actor, changes from economic.audit where entity_id = $1 order by id", product)
    assert [row["actor"].partition(":")[0] for row in audit] == ["import", "operator"]
    await eventually(
        lambda: [e for e in running.heard if e.type == "economic.records.changed" and product in e.data.ids][1:],
        message="the undo to be announced beside the deactivation",
    )
    again = await call(env, "import", "undo", done.correlation_id or "", "-w", WORKSPACE)
    assert (again.code, "nothing was changed" in again.out) == (0, True)


@pytest.mark.requirement("R11")
async def test_undo_of_an_unknown_import_says_so(running: Harness, env: Env) -> None:  # noqa: F811
    missing = await call(env, "import", "undo", str(uuid4()), "-w", WORKSPACE)
    assert missing.code == 1
    assert "has no import" in missing.err


@pytest.fixture
async def ambiguous(running: Harness, agreement: Agreement) -> tuple[UUID, UUID]:
    """Two customers of Pike's that e-conomic's customer 2 may be."""
    agreement.change_customer(2, name="Samme Navn", cvr=None, email=None)
    pair = (await own(running, "customers", "Samme Navn"), await own(running, "customers", "samme navn"))
    await running.import_all("customers")
    return pair


async def rows_of_2(running: Harness) -> list[UUID]:
    return [row["id"] for row in await running.rows("select id from pike.customers where external_number = '2'")]


@pytest.mark.requirement("B11", "F16")
async def test_a_person_says_which_of_pikes_customers_it_is(
    running: Harness,
    env: Env,  # noqa: F811
    ambiguous: tuple[UUID, UUID],
) -> None:
    listed = await call(env, "import", "matches", "list", "-w", WORKSPACE, "--json")
    (match,) = listed.json
    assert (match["external_number"], match["matched_by"]) == ("2", "name")
    assert {c["id"] for c in match["candidates"]} == {str(each) for each in ambiguous}
    table = await call(env, "import", "matches", "list", "-w", WORKSPACE)
    assert all(str(each) in table.out for each in ambiguous)
    done = await call(env, "import", "matches", "resolve", "2", "-w", WORKSPACE, "--customer", str(ambiguous[1]))
    assert (done.code, done.err) == (0, "")
    assert await rows_of_2(running) == [ambiguous[1]]
    empty = await call(env, "import", "matches", "list", "-w", WORKSPACE)
    assert "No customer waits" in empty.out
    await running.import_all("customers")
    assert await rows_of_2(running) == [ambiguous[1]]


@pytest.mark.requirement("B11")
async def test_one_that_is_none_of_them_gets_a_row_of_its_own_for_good(
    running: Harness,
    env: Env,  # noqa: F811
    ambiguous: tuple[UUID, UUID],
) -> None:
    done = await call(env, "import", "matches", "resolve", "2", "-w", WORKSPACE, "--new")
    assert (done.code, done.err) == (0, "")
    (made,) = await rows_of_2(running)
    assert made not in ambiguous
    await running.import_all("customers")
    assert await rows_of_2(running) == [made]


@pytest.mark.requirement("B11")
async def test_one_on_the_ignore_list_is_left_out_of_every_import(
    running: Harness,
    env: Env,  # noqa: F811
    ambiguous: tuple[UUID, UUID],
) -> None:
    done = await call(env, "import", "matches", "resolve", "2", "-w", WORKSPACE, "--ignore")
    assert (done.code, "ignore list" in done.out) == (0, True)
    answer = await running.import_all()
    assert await rows_of_2(running) == []
    assert answer.data.counts["customers"].rejected == 0


@pytest.mark.requirement("B11")
async def test_a_customer_that_is_linked_already_cannot_be_chosen(
    running: Harness,
    env: Env,  # noqa: F811
    ambiguous: tuple[UUID, UUID],
) -> None:
    other = await running.value("select id from pike.customers where external_number = '4'")
    refused = await call(env, "import", "matches", "resolve", "2", "-w", WORKSPACE, "--customer", str(other))
    assert (refused.code, "cannot be linked" in refused.err) == (1, True)
    unclear = await call(env, "import", "matches", "resolve", "2", "-w", WORKSPACE)
    assert (unclear.code, "--customer ID" in unclear.err) == (2, True)
