"""``python -m worker.demo``: run the story and exit 0 only when every claim held."""

import asyncio
import sys

from worker.demo.story import tell
from worker.servers import ServersUnavailable


def main() -> int:
    """Run the demo; trouble with the surroundings is one sentence."""
    try:
        return asyncio.run(tell())
    except ServersUnavailable as exc:
        print(f"The demo cannot start: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
