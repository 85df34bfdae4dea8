"""Writes ``requirements.lock`` from ``pyproject.toml``, or with ``--check`` tells whether it is current (no network).

The lock covers every supported Python on Linux and macOS, has a hash for each file, and no addresses. Its first line
is a digest of what it was made from, which is what ``--check`` compares.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements.lock"
MARK = "# made from: "
OLDEST_PYTHON = "3.11"
# Hatchling asks for this one only while it makes an editable install; isolation, which would fetch it, is off.
EDITABLE_INSTALL = ("editables~=0.3",)


def digest() -> str:
    """Return a digest of everything that decides the lock's contents; comments and order do not."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    extras = project["project"].get("optional-dependencies", {})
    inputs = {
        "build": sorted(project["build-system"]["requires"]),
        "dependencies": sorted(project["project"]["dependencies"]),
        "editable": sorted(EDITABLE_INSTALL),
        "extras": {name: sorted(requirements) for name, requirements in extras.items()},
        "python": [OLDEST_PYTHON, project["project"]["requires-python"]],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def is_current() -> bool:
    """Return whether the lock was made from today's ``pyproject.toml``."""
    lines = LOCK.read_text(encoding="utf-8").splitlines() if LOCK.exists() else []
    return bool(lines) and lines[0] == MARK + digest()


def write() -> None:
    """Resolve with uv, installed for this moment only, and write the lock."""
    build_requires = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["build-system"]["requires"]
    with tempfile.TemporaryDirectory(prefix="pike-lock-") as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        subprocess.run([binaries / "python", "-m", "pip", "install", "-qq", "uv"], check=True)  # noqa: S603
        build = Path(folder) / "build.in"
        build.write_text("\n".join([*build_requires, *EDITABLE_INSTALL]) + "\n", encoding="utf-8")
        command = [
            *(binaries / "uv", "pip", "compile", "pyproject.toml", build, "--extra", "dev"),
            *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
        ]
        # The versions of the present lock are not kept: this is also how dependencies are brought up to date.
        made = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    LOCK.write_text(f"{MARK}{digest()}\n{made.stdout}", encoding="utf-8")


def main() -> None:
    """Write the lock, or with ``--check`` exit with 1 and one sentence when it is not current."""
    if "--check" not in sys.argv[1:]:
        write()
    elif not is_current():
        sys.exit("requirements.lock was made from another pyproject.toml. Run: make lock")


if __name__ == "__main__":
    main()
