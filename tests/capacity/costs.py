"""What one event costs, as ``python -m tests.capacity.measure`` found it. Measure anew where you run, and replace them.

Conditions: one worker process on a virtual machine with two cores, shared with RabbitMQ 3.10, Postgres 15 (fsync on),
the local e-conomic and other work; Python 3.11; log level INFO. An import of 500 customers, 200 products and 1,000
booked invoices of three lines; a round that finds nothing changed; refreshes of a product, 400 waiting at once; pushes
of new invoices of three lines, 200 waiting at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TOKENS_PER_CALL = 3
"""As observed for a list page; e-conomic publishes no table of costs, so each call is counted like one."""


@dataclass(frozen=True)
class Cost:
    """Per event: seconds of a processor, commits, bytes of write-ahead log, bytes of tables, calls to e-conomic."""

    cpu_s: float
    commits: float
    wal_bytes: float
    table_bytes: float
    calls: float


COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "push": Cost(0.0097, 6.0, 19_600, 14_000, 5),
        "refresh": Cost(0.0020, 0.17, 3_700, 3_000, 1),
        "import": Cost(0.40, 65, 2_655_000, 1_884_000, 20),
        "round": Cost(0.037, 24, 23_300, 16_400, 8),
    }
)
