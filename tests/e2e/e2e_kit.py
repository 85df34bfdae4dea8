"""Names that the end-to-end tests and their fixtures share."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from harness import Harness

from worker.sandbox import SeedSize

SMALL = SeedSize(customers=16, products=14, invoices=48, drafts=6)
"""Large enough for every quirk of the seed (credit notes, text lines, a deleted customer), imported in a blink."""

Launch = Callable[..., AbstractAsyncContextManager[Harness]]
SmallPages = Callable[[int], None]
