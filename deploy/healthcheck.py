"""Asks the worker in the same container whether it is ``live`` or ``ready``; exit code 0 when it is, else 1.

Standard library only: it is started every few seconds, and the image needs neither a shell nor curl for it.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0
"""Below the orchestrator's own limit of 5 seconds, so that it is us who say why."""


def main() -> int:
    """Ask and print the answer, which the orchestrator keeps as the reason."""
    question = sys.argv[1] if len(sys.argv) > 1 else "live"
    port = os.environ.get("PIKE_ECONOMIC_HTTP_PORT", "8080")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{question}", timeout=TIMEOUT_S) as answer:
            print(answer.read().decode())
    except urllib.error.HTTPError as exc:  # ready says with 503 what does not answer
        print(exc.read().decode(errors="replace"))
        return 1
    except OSError as exc:
        print(f"no answer on port {port}: {exc}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
