"""``python -m worker``, installed as ``pike-economic``."""

from worker.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
