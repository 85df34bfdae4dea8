"""What the worker sends to itself to keep Pike fresh. Nobody else publishes these, and nobody waits for an answer."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.envelope import Incoming
from events.fields import ImportId
from schemas.kinds import ImportEntity


class SyncRequested(Incoming):
    """Internal: a round of the schedule. ``changes`` reads what changed, ``full`` everything, to find deletions.

    It runs as an import does, but is none that a person asked for: no ``economic.import.…`` event is written.
    """

    TYPE: ClassVar[str] = "pike-economic.sync.requested"

    entities: Annotated[tuple[ImportEntity, ...], Field(min_length=1)]
    mode: Literal["full", "changes"] = "changes"


class HintsRead(Incoming):
    """Internal: read again what webhooks of this workspace's agreement hinted at."""

    TYPE: ClassVar[str] = "pike-economic.hints.read"


class HooksCheck(Incoming):
    """Internal: look at the webhooks of this workspace's agreement; make what is missing, switch on what is off."""

    TYPE: ClassVar[str] = "pike-economic.hooks.check"


class SyncContinue(Incoming):
    """Internal: the next slice of such a round."""

    TYPE: ClassVar[str] = "pike-economic.sync.continue"

    import_id: ImportId
