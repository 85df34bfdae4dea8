"""``make bench SECTION=…``: one section, or all of them."""

import sys
from collections.abc import Callable, Mapping

from tests.benchmarks.console import run as console
from tests.benchmarks.events import run as events
from tests.benchmarks.fairness import run as fairness
from tests.benchmarks.freshness import run as freshness
from tests.benchmarks.imports import run as imports
from tests.benchmarks.memory import run as memory
from tests.benchmarks.metrics import run as metrics
from tests.benchmarks.results_file import whole
from tests.benchmarks.scale import run as scale

SECTIONS: Mapping[str, Callable[[list[str]], None]] = {
    "console": console.main,
    "events": events.main,
    "fairness": fairness.main,
    "scale": scale.main,
    "memory": memory.main,
    "imports": imports.main,
    "freshness": freshness.main,
    "metrics": metrics.main,
}


def main() -> int:
    """Run the section named first on the command line with the options after it; without one, every section."""
    name, options = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 and sys.argv[1] in SECTIONS else ("", sys.argv[1:])
    if not name and options and not options[0].startswith("-"):
        print(f"{options[0]} is not a section; there are: {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    for section in [name] if name else SECTIONS:
        SECTIONS[section](options)
    if not name:
        print("\n".join(whole(SECTIONS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
