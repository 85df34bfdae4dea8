"""One kind of record: a dictionary by key with remembered views and remembered JSON text.

Text is kept per record and thrown away when that record changes; a view (filter and sort) is kept until anything
in the register changes. Both make a page a join of bytes.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
V = TypeVar("V")

_MAX_TEXTS = 100_000
"""Above this many remembered texts all are forgotten, so that a million records do not fill the memory."""
_MAX_VIEWS = 16
_VARIANTS = ("item", "full", "open")


class Register(Generic[K, T]):
    """Records by key, in insertion order. Change a record in place and then call ``touch``.

    ``index`` gives the text under which ``find`` knows a record; case does not matter. It must not change in place.
    """

    def __init__(self, index: Callable[[T], str | None] | None = None) -> None:
        self.rows: dict[K, T] = {}
        self._index = index
        self._keys_by_text: dict[str, set[K]] = {}
        self._texts: dict[Hashable, bytes] = {}
        self._views: OrderedDict[Hashable, list[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows.values())

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def __getitem__(self, key: K) -> T:
        return self.rows[key]

    def get(self, key: K) -> T | None:
        """Return the record or None."""
        return self.rows.get(key)

    def put(self, key: K, row: T) -> None:
        """Insert or replace a record."""
        if key in self.rows:
            self._unindex(key)
        self.rows[key] = row
        if self._index is not None and (text := self._index(row)) is not None:
            self._keys_by_text.setdefault(text.casefold(), set()).add(key)
        self.touch(key)

    def remove(self, key: K) -> T:
        """Take a record out. Raises KeyError."""
        self._unindex(key)
        row = self.rows.pop(key)
        self.touch(key)
        return row

    def _unindex(self, key: K) -> None:
        if self._index is not None and (text := self._index(self.rows[key])) is not None:
            self._keys_by_text.get(text.casefold(), set()).discard(key)

    def find(self, text: str) -> list[T]:
        """Return the records indexed under a text, in key order."""
        keys: list[Any] = list(self._keys_by_text.get(text.casefold(), ()))
        return [self.rows[key] for key in sorted(keys)]

    def touch(self, key: K) -> None:
        """Say that a record changed."""
        for variant in _VARIANTS:
            self._texts.pop((variant, key), None)
        self._views.clear()

    def forget_text(self, key: K) -> None:
        """Say that only a record's rendering changed (a derived amount): views stay."""
        for variant in _VARIANTS:
            self._texts.pop((variant, key), None)

    def forget_texts(self) -> None:
        """Say that every rendering changed: the server has another address."""
        self._texts.clear()

    def text(self, variant: str, key: K, make: Callable[[T], bytes]) -> bytes:
        """Return the remembered JSON of a record; ``variant`` is ``item`` (in a list), ``full`` or ``open``."""
        slot = (variant, key)
        found = self._texts.get(slot)
        if found is None:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            found = self._texts[slot] = make(self.rows[key])
        return found

    def view(self, name: Hashable, make: Callable[[], list[V]]) -> list[V]:
        """Return the remembered list of that name, made anew after any change."""
        found = self._views.get(name)
        if found is None:
            found = self._views[name] = make()
            if len(self._views) > _MAX_VIEWS:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(name)
        return found
