"""The kinds of records that are kept in step, by name and nothing else; what is done for each is ``worker.entities``.

Types only, so that the command line can offer them without loading a single model.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

ListedEntity = Literal["products", "customers"]
"""Kinds that are one list in e-conomic and one table in Pike; each has an entry in ``worker.entities``."""

ImportEntity = Literal[ListedEntity, "invoices"]
"""What an import can be asked for. Invoices are two series of documents, with steps of their own."""

Entity = Literal["product", "customer", "invoice"]
"""One record of each kind, in the order of ``ImportEntity``."""

LISTED: Final[tuple[ListedEntity, ...]] = get_args(ListedEntity)
IMPORTABLE: Final[tuple[ImportEntity, ...]] = get_args(ImportEntity)
KINDS: Final[tuple[Entity, ...]] = get_args(Entity)

LIST_OF: Final[Mapping[Entity, ImportEntity]] = MappingProxyType(dict(zip(KINDS, IMPORTABLE, strict=True)))
"""``product`` → ``products``, which is also the name of the table in Postgres schema ``pike``."""

TEXT_NUMBERS: Final[frozenset[Entity]] = frozenset({"product"})
"""Kinds whose number in e-conomic is a text; all others have whole numbers."""
