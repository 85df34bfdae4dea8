"""Erasing one customer's data: what only describes the person goes, what accounts need stays without them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from worker.store import matches
from worker.store.personal.finding import find_person
from worker.store.personal.person import ERASED, Person
from worker.store.personal.places import LOGS, PERSON, Place, scope_of
from worker.store.pool import Connection


@dataclass(slots=True)
class Erased:
    """What was, or would be, done: rows by table. ``obstacles`` say what must be settled first; then nothing was done.

    ``ignored``: the number in e-conomic that imports leave out from now on.
    """

    rows: Counter[str] = field(default_factory=Counter)
    obstacles: list[str] = field(default_factory=list)
    ignored: str | None = None


async def erase_customer(connection: Connection, workspace_id: str, customer_id: UUID) -> Erased:
    """Erase a customer in the caller's transaction. Raises ``NoSuchCustomer``."""
    row, person = await find_person(connection, workspace_id, customer_id)
    done = Erased(obstacles=await _obstacles(connection, workspace_id, person))
    if done.obstacles:
        return done
    await connection.execute("set local pike_economic.housekeeping = 'on'")
    await _previews(connection, workspace_id, row, done)
    await _ledger(connection, workspace_id, customer_id, done)
    await _documents(connection, workspace_id, person, done)
    for place in LOGS:
        await scrub(connection, place, workspace_id, person, done)
    await _row(connection, workspace_id, customer_id, done)
    if row["external_number"] is not None:
        done.ignored = row["external_number"]
        await _ignore(connection, workspace_id, row["agreement_number"], done.ignored)
    return done


async def _obstacles(connection: Connection, workspace_id: str, person: Person) -> list[str]:
    """What an erasure would spoil: events and writes that are not settled yet are never lost for it."""
    found = []
    running = await connection.fetchval(
        "select event_id from economic.imports where workspace_id = $1 and state = 'running'", workspace_id
    )
    if running:
        found.append(f"import {running} is running: wait for its end, or cancel it")
    for event in await connection.fetch(
        """select event_id, state, body from economic.inbox
           where workspace_id = $1 and state not in ('done', 'dead') and body is not null""",
        workspace_id,
    ):
        if person.named_in(event["body"].decode("utf-8", "replace")):
            found.append(f"event {event['event_id']} about this customer is {event['state']}: let it end first")
    for message in await connection.fetch(
        "select id, message_id, body from economic.overflow where workspace_id = $1", workspace_id
    ):
        if person.named_in(message["body"].decode("utf-8", "replace")):
            found.append(f"event {message['message_id']} about this customer waits for its turn: let it end first")
    for letter in await connection.fetch(
        "select id, body from economic.dead_letters where workspace_id = $1 and state = 'open'", workspace_id
    ):
        if person.named_in(letter["body"].decode("utf-8", "replace")):
            found.append(f"dead letter {letter['id']} about this customer is open: replay or discard it first")
    for effect in await connection.fetch(
        """select e.reference from economic.effects e
           where e.workspace_id = $1 and e.state in ('intent', 'unknown') and (e.subject_id = $2 or e.subject_id in
                 (select id from pike.invoices where workspace_id = $1 and customer_id = $2))""",
        workspace_id,
        UUID(person.id),
    ):
        found.append(f"nobody knows yet what became of {effect['reference']} in e-conomic: let it be settled first")
    return found


async def _previews(connection: Connection, workspace_id: str, row: dict[str, Any], done: Erased) -> None:
    """Reports about the customer's own record go whole."""
    for table, condition in (
        ("economic.import_preview", "r.record_id = $2 or (r.entity = 'customer' and r.external_number = $3)"),
        ("economic.import_rejects", "$2::uuid is not null and r.entity = 'customers' and r.external_number = $3"),
    ):
        status = await connection.execute(
            f"delete from {table} r where {scope_of(table)} and ({condition})",  # noqa: S608
            workspace_id,
            row["id"],
            row["external_number"],
        )
        _count(done, table, status)


async def _ledger(connection: Connection, workspace_id: str, customer_id: UUID, done: Erased) -> None:
    """The ledger keeps what guards against a second sending; the bytes that were sent are not needed any more."""
    status = await connection.execute(
        """update economic.effects set body = '{}' where workspace_id = $1 and body <> '{}' and (subject_id = $2 or
           subject_id in (select id from pike.invoices where workspace_id = $1 and customer_id = $2))""",
        workspace_id,
        customer_id,
    )
    _count(done, "economic.effects", status)


async def _documents(connection: Connection, workspace_id: str, person: Person, done: Erased) -> None:
    """Invoices stay, with numbers and amounts; titles and lines lose the words that name the person."""
    customer_id = UUID(person.id)
    for row in await connection.fetch(
        "select id, title, last_problem from pike.invoices where workspace_id = $1 and customer_id = $2",
        workspace_id,
        customer_id,
    ):
        title, problem = person.scrub(row["title"]), person.scrub(row["last_problem"])
        if (title, problem) != (row["title"], row["last_problem"]):
            await connection.execute(
                """update pike.invoices set title = $3, last_problem = $4, updated_at = now()
                   where workspace_id = $1 and id = $2""",
                workspace_id,
                row["id"],
                title,
                problem,
            )
            done.rows["pike.invoices"] += 1
    for line in await connection.fetch(
        """select l.id, l.description from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
           where i.workspace_id = $1 and i.customer_id = $2 and l.description is not null""",
        workspace_id,
        customer_id,
    ):
        description = person.scrub_text(line["description"])
        if description != line["description"]:
            await connection.execute(
                """update pike.invoice_lines l set description = $3 from pike.invoices i
                   where l.id = $2 and i.id = l.invoice_id and i.workspace_id = $1""",
                workspace_id,
                line["id"],
                description,
            )
            done.rows["pike.invoice_lines"] += 1


async def scrub(connection: Connection, place: Place, workspace_id: str, person: Person, done: Erased) -> None:
    """Take a person out of a table's free text; bodies are looked at one by one, whatever way they are written."""
    columns = (*place.texts, *place.documents, *place.bodies)
    texts = ", ".join(f"r.{name}::text" for name in (*place.texts, *place.documents))
    named = f"exists (select 1 from unnest($2::text[]) n where strpos(lower(concat_ws(' ', {texts})), n) > 0)"  # noqa: S608
    bodies = "".join(f" or r.{name} is not null" for name in place.bodies)
    found = connection.cursor(
        f"""select r.ctid, {", ".join(f"r.{name}" for name in columns)} from {place.table} r
            where {scope_of(place.table)} and ({named}{bodies}) for update""",  # noqa: S608
        workspace_id,
        person.needles,
    )
    async for row in found:
        changed = {name: _scrubbed(person, row[name]) for name in columns}
        changed = {name: value for name, value in changed.items() if value != row[name]}
        if changed:
            sets = ", ".join(f"{name} = ${index}" for index, name in enumerate(changed, start=2))
            await connection.execute(
                f"update {place.table} set {sets} where ctid = $1",  # noqa: S608
                row["ctid"],
                *changed.values(),
            )
            done.rows[place.table] += 1


def _scrubbed(person: Person, value: Any) -> Any:
    return person.scrub_body(value) if isinstance(value, bytes) else person.scrub(value)


async def _row(connection: Connection, workspace_id: str, customer_id: UUID, done: Erased) -> None:
    """The row stays for its invoices; everything about the person goes, and what a sync changed in it as well."""
    nothing = ", ".join(f"{name} = null" for name in PERSON)
    status = await connection.execute(
        f"""update pike.customers set name = $3, {nothing}, last_problem = null, active = false, updated_at = now()
            where workspace_id = $1 and id = $2""",  # noqa: S608
        workspace_id,
        customer_id,
        ERASED,
    )
    _count(done, "pike.customers", status)
    status = await connection.execute(
        """update economic.audit a
           set changes = (select jsonb_agg(c || jsonb_build_object('old', $3::text, 'new', $3::text))
                          from jsonb_array_elements(a.changes) c)
           where workspace_id = $1 and entity = 'customer' and entity_id = $2 and jsonb_array_length(changes) > 0""",
        workspace_id,
        customer_id,
        ERASED,
    )
    _count(done, "economic.audit", status)


async def _ignore(connection: Connection, workspace_id: str, agreement: int, number: str) -> None:
    """Put the number on the ignore list: e-conomic still has the customer, and an import would bring it back."""
    await matches.decide(connection, workspace_id, agreement, number, "ignored")
    await connection.execute(
        """update economic.customer_matches set name = external_number, candidates = '{}'
           where workspace_id = $1 and agreement_number = $2 and external_number = $3""",
        workspace_id,
        agreement,
        number,
    )


def _count(done: Erased, table: str, status: str) -> None:
    count = int(status.rsplit(" ", 1)[1])
    if count:
        done.rows[table] += count
