"""Tables of the read model as data: their columns follow from the model of their rows. No statement runs here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from schemas.base import Strict
from schemas.customer import PikeCustomer
from schemas.kinds import LIST_OF, Entity
from schemas.product import PikeProduct

NUMBER = "external_number"
"""The field of every model, and the column of every table, that holds e-conomic's number."""

_TYPES = {str: "text", Decimal: "numeric", int: "int", bool: "bool", date: "date"}


@dataclass(frozen=True, eq=False)
class Table:
    """A listed kind of record: its table, its columns that e-conomic rules, and whether Pike may edit linked rows.

    Compared by identity: there is one of each, and statements are looked up by them for every event.
    """

    entity: Entity
    name: str
    columns: tuple[tuple[str, str], ...]
    locked: bool

    @classmethod
    def of(cls, entity: Entity, row: type[Strict], *, locked: bool = True) -> "Table":
        """Make it from the model of its rows, whose fields are the columns: an ``external_number`` and a ``barred``
        among them, which every kind has. Raises ``TypeError`` naming a field that no column can hold.
        """
        columns = [(name, _type_of(row, name, field.annotation)) for name, field in row.model_fields.items()]
        missing = {NUMBER, "barred"} - {name for name, _ in columns}
        if missing:
            raise TypeError(f"{row.__name__} has no {' and no '.join(sorted(missing))}")
        ruled = tuple(column for column in columns if column[0] != NUMBER)
        return cls(entity, f"pike.{LIST_OF[entity]}", ruled, locked)

    @property
    def names(self) -> list[str]:
        """Column names."""
        return [name for name, _ in self.columns]


def _type_of(row: type[Strict], name: str, annotation: Any) -> str:
    kinds = [_bare(kind) for kind in _alternatives(annotation) if kind is not type(None)]
    if len(kinds) != 1 or kinds[0] not in _TYPES:
        raise TypeError(f"{row.__name__}.{name}: no column holds {annotation}")
    return _TYPES[kinds[0]]


def _alternatives(annotation: Any) -> Sequence[Any]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _bare(annotation: Any) -> Any:
    """Return the type without what only validation needs to know of it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def columns_of(alias: str, names: Sequence[str]) -> str:
    """``r.a, r.b`` for SQL."""
    return ", ".join(f"{alias}.{name}" for name in names)


def pairs_of(alias: str, names: Sequence[str]) -> str:
    """``'a', r.a, 'b', r.b`` for ``jsonb_build_object``."""
    return ", ".join(f"'{name}', {alias}.{name}" for name in names)


PRODUCTS = Table.of("product", PikeProduct)
CUSTOMERS = Table.of("customer", PikeCustomer, locked=False)
