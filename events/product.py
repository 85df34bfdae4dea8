"""Products changed by hand in Pike, which e-conomic rules once they are linked (R30)."""

from typing import ClassVar
from uuid import UUID

from events.envelope import Incoming
from events.fields import PlainJson


class ProductUpdated(Incoming):
    """Somebody changed a product in Pike. Only ``active`` may be changed on a linked one."""

    TYPE: ClassVar[str] = "pike.product.updated"

    id: UUID
    changes: dict[str, PlainJson]
