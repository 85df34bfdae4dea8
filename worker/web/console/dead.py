"""``/console/dead``: dead letters by what puts them right, and as a list."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from aiohttp import web

from worker.runtime.letters import Key, document_of
from worker.store import letter_lists
from worker.store.dead_letters import DeadLetter
from worker.store.dead_letters import search as find_letters
from worker.store.letter_lists import STATES, Chosen, Counted
from worker.store.pool import Connection
from worker.web.console.filters import Filters
from worker.web.console.paging import Edge, Slice, moment
from worker.web.console.view import notice, show
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.signing_in import require

SIZE = 50
NAMES = ("cause", "workspace", "type", "group", "state")
DONE = {
    "nothing": "Nothing was sent: none of these letters is open any more. Somebody replayed or discarded them before."
}


def add_routes(app: web.Application) -> None:
    """Add both views."""
    app.router.add_get("/console/dead", _groups)
    app.router.add_get("/console/dead/letters", _letters)


async def _groups(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    filters = Filters.read(request, ["cause", "workspace", "type"])
    async with request.app[FRONT].database.connection("dead letters by cause") as connection:
        chosen = await chosen_by(connection, filters)
        counted = await letter_lists.groups(connection, chosen)
        newest = await _newest(connection, counted)
        causes, types = await letter_lists.causes(connection), await letter_lists.types(connection)
    groups = [
        {"id": key_of(each).id, "counted": each, "letters": [newest[one] for one in each.newest if one in newest]}
        for each in counted
    ]
    return show(
        request, operator, "console/dead/groups.html", place="dead", groups=groups, filters=filters, causes=causes,
        types=types, total=sum(each.count for each in counted), document_of=document_of, done=notice(request, DONE),
        letters=Filters("/console/dead/letters", filters.values),
    )  # fmt: skip


async def _letters(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    filters = Filters.read(request, NAMES)
    edge = Edge.read(request, 2)
    async with request.app[FRONT].database.connection("list dead letters") as connection:
        chosen = await chosen_by(connection, filters)
        key = read_key(edge)
        backwards = key is not None and edge is not None and edge.backwards
        found = await letter_lists.page(connection, chosen, SIZE + 1, key, backwards=backwards)
        causes, types = await letter_lists.causes(connection), await letter_lists.types(connection)
    rows = Slice.of(found, SIZE, edge if key else None, _key, filters)
    return show(
        request, operator, "console/dead/letters.html", place="dead", slice=rows, filters=filters, causes=causes,
        types=types, states=STATES, document_of=document_of, selection=Filters("/console/dead/replay", filters.values),
    )  # fmt: skip


async def chosen_by(connection: Connection, filters: Filters) -> Chosen:
    """Return what filters of the address choose. A group that no longer has letters chooses none."""
    state = filters.one_of("state", (*STATES, "all")) or "open"
    chosen = Chosen(
        state=None if state == "all" else state,
        cause=filters.get("cause"),
        workspace_id=filters.get("workspace"),
        event_type=filters.get("type"),
    )
    wanted = filters.get("group")
    if wanted is None:
        return chosen
    for each in await letter_lists.groups(connection, chosen):
        key = key_of(each)
        if key.id == wanted:
            group = (key.cause, key.error_code, key.place, key.agreement_number)
            return replace(chosen, group=group)
    return replace(chosen, group=("", None, None, None))


def key_of(counted: Counted) -> Key:
    """Return the group's key: the same, with the same short name, as the command line's."""
    return Key(counted.cause, counted.error_code, counted.place, counted.agreement_number)


def read_key(edge: Edge | None) -> tuple[datetime, UUID] | None:
    """Read an edge's key; one that is no time and id is the first page."""
    try:
        return (moment(edge.key[0]), UUID(edge.key[1])) if edge else None
    except ValueError:
        return None


def _key(letter: DeadLetter) -> tuple[str, str]:
    return letter.buried_at.isoformat(), str(letter.id)


async def _newest(connection: Connection, counted: list[Counted]) -> dict[UUID, DeadLetter]:
    wanted = [one for each in counted for one in each.newest]
    found = await find_letters(connection, ids=wanted, state=None) if wanted else []
    return {letter.id: letter for letter in found}
