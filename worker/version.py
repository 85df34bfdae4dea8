"""Which version runs, and of which commit: for ``--version``, the metrics and support."""

from importlib import metadata, resources


def version() -> str:
    """Return the version of the installed package."""
    return metadata.version("pike-economic")


def commit() -> str:
    """Return the commit that the wheel was made of, with ``+changes`` when that was not all; empty in a checkout."""
    note = resources.files("worker").joinpath("commit.txt")
    return note.read_text(encoding="utf-8").strip() if note.is_file() else ""


def described() -> str:
    """Return both in one line, such as ``0.1.0 (commit 7d74dd3…)``."""
    made_of = commit()
    return f"{version()} ({f'commit {made_of}' if made_of else 'from a checkout'})"
