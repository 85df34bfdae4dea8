"""The dead letter that an address names; the console's pages and the operator API find it alike."""

from uuid import UUID

from aiohttp import web

from worker.store import dead_letters
from worker.store.dead_letters import DeadLetter
from worker.web.front import FRONT

MOST_REASON = 1000
"""Characters that the reason of an act on a letter may have."""


async def named_letter(request: web.Request) -> DeadLetter:
    """Return the letter whose id stands in the address, in whatever state. Raises 404 when there is none."""
    try:
        letter_id = UUID(request.match_info["letter"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.app[FRONT].database.connection("dead letter") as connection:
        found = await dead_letters.search(connection, ids=[letter_id], state=None)
    if not found:
        raise web.HTTPNotFound
    return found[0]
