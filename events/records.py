"""What happened to rows of the read model: changed by a sync, or a change refused."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from events.envelope import Outgoing
from events.fields import GROWS, AnyEntity
from schemas.kinds import Entity
from schemas.problem import Problem

MAX_IDS = 1_000
"""Ids in one ``economic.records.changed``; a larger page is announced in several events."""


class RecordsChanged(Outgoing):
    """Rows that a page or a refresh changed; readers fetch them from the read model."""

    TYPE: ClassVar[str] = "economic.records.changed"

    entity: AnyEntity
    ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MAX_IDS)]


class ChangeRefused(Outgoing):
    """A change made in Pike, or a request to stop something, was not accepted; nothing happened."""

    TYPE: ClassVar[str] = "economic.change.refused"

    entity: Annotated[Literal[Entity, "import", "connection"], GROWS]
    id: str | None = None
    fields: tuple[str, ...] = ()
    problem: Problem
