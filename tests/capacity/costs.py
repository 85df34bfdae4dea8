"""What one event costs, as ``python -m tests.capacity.measure --rate 60`` found it. Measure anew where you run.

Conditions: one worker process on a virtual machine with two cores, shared with RabbitMQ 3.10, Postgres 15 (fsync on)
and the local e-conomic; Python 3.11; log level INFO; medians of four runs. An import of 500 customers, 200 products
and 1,000 booked invoices of three lines; a round that finds nothing changed; refreshes of a product, and then pushes
of new invoices of three lines, 60 a second, which is what each of four processes is given in the plan's busiest
minute. What waits all at once is committed together and costs half as much or less: planning with that would be bold.
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
        "push": Cost(0.0093, 7.5, 14_600, 10_500, 5),
        "refresh": Cost(0.0045, 2.9, 3_400, 2_700, 1),
        "import": Cost(0.33, 26, 2_953_000, 2_134_000, 20),
        "round": Cost(0.026, 23, 24_900, 15_600, 8),
    }
)
