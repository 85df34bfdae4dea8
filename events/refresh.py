"""Refresh of one record: requested by id or by e-conomic's number, completed with what changed, or failed."""

from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, StringConstraints, model_validator

from events.envelope import Incoming, Outgoing
from events.fields import AnyEntity, FieldChange
from schemas.invoice import Document
from schemas.kinds import TEXT_NUMBERS, Entity
from schemas.problem import Problem


def _number_as_text(value: object) -> object:
    """Customers and invoices have whole numbers; publishers write them with and without quotes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ExternalNumber = Annotated[
    str, BeforeValidator(_number_as_text), StringConstraints(strip_whitespace=True, min_length=1, max_length=25)
]
"""e-conomic's number as a text; product numbers are texts of at most 25 characters (restdocs.e-conomic.com)."""


class RefreshRequested(Incoming):
    """Read one record again. Either ``id`` (Pike's) or ``external_number``; ``document`` matters for invoices only.

    A number that Pike does not have yet is imported.
    """

    TYPE: ClassVar[str] = "pike.refresh.requested"

    entity: Entity
    id: UUID | None = None
    external_number: ExternalNumber | None = None
    document: Document = "booked"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.id is None) == (self.external_number is None):
            raise ValueError('give either "id" (Pike\'s) or "external_number" (e-conomic\'s), not both')
        number = self.external_number
        if number is not None and self.entity not in TEXT_NUMBERS and not (number.isascii() and number.isdigit()):
            raise ValueError(f'"external_number" of a {self.entity} must be a whole number')
        return self


class RefreshCompleted(Outgoing):
    """The record was read again; ``changes`` is empty when nothing differed."""

    TYPE: ClassVar[str] = "economic.refresh.completed"

    entity: AnyEntity
    id: UUID
    external_number: str
    last_synced_at: AwareDatetime
    changes: tuple[FieldChange, ...] = ()


class RefreshFailed(Outgoing):
    """The record could not be read again; its data is untouched (R28)."""

    TYPE: ClassVar[str] = "economic.refresh.failed"

    entity: AnyEntity | None = None
    id: UUID | None = None
    external_number: str | None = None
    problem: Problem
