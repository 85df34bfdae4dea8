"""The programs that check: the dependency group ``tools``, in ``.venv-tools``, which ``make deploy-check`` makes."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = ROOT / ".venv-tools" / "bin"


class Faulty(Exception):
    """Something in deploy/ is not as it must be; the text says what."""


def ask(tool: str, *arguments: str | Path, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a tool in the repository's root and return what it said; never raises for its exit code."""
    return subprocess.run(
        [BIN / tool, *arguments], cwd=ROOT, input=given, capture_output=True, text=True, check=False, timeout=300
    )


def must_pass(tool: str, *arguments: str | Path, given: str | None = None) -> str:
    """Run a tool and return what it printed. Raises ``Faulty`` with its words when it is not content."""
    done = ask(tool, *arguments, given=given)
    if done.returncode:
        raise Faulty(f"{tool}: {done.stdout}{done.stderr}".strip())
    return done.stdout


def must_refuse(tool: str, *arguments: str | Path, given: str | None = None) -> None:
    """Raise ``Faulty`` when a tool is content with something wrong: then its praise is worth nothing."""
    if not ask(tool, *arguments, given=given).returncode:
        raise Faulty(f"{tool} does not see a planted fault")
