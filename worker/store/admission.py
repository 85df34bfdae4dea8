"""What is asked before an event may call e-conomic: its workspace's connection, and the gates of that agreement.

One statement, which sees what is committed when it begins: run it after the claim, so that an event that was claimed
after a reconnect never works with the grant of before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.store import connections, gates
from worker.store.connections import EconomicConnection
from worker.store.gates import Gate
from worker.store.pool import Connection

_FIND = f"""
select {connections.columns_of("c")}, g.agreement_number as gate, {gates.columns_of("g")}
from economic.connections c
left join economic.gates g on g.agreement_number in (c.agreement_number, {gates.WHOLE})
                          and (g.failures > 0 or g.held_until > now())
where c.workspace_id = any($1::text[])
"""  # noqa: S608  # names of columns only


@dataclass(frozen=True, slots=True)
class Admission:
    """A workspace's connection, in whatever state, and the gates that are not plainly open, ``WHOLE`` among them."""

    connection: EconomicConnection
    gates: dict[int, Gate] = field(default_factory=dict)


async def find(connection: Connection, workspace_ids: Sequence[str]) -> Mapping[str, Admission]:
    """Return what these workspaces may do; one that has no connection is left out."""
    found: dict[str, Admission] = {}
    for row in await connection.fetch(_FIND, list(workspace_ids)):
        admission = found.get(row["workspace_id"])
        if admission is None:
            admission = found[row["workspace_id"]] = Admission(connections.read(row))
        if row["gate"] is not None:
            admission.gates[row["gate"]] = gates.read(row, row["gate"])
    return found
