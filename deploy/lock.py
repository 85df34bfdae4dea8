"""Writes the lock files from ``pyproject.toml``, or with ``--check`` tells whether they are current (no network).

Each covers every supported Python on Linux and macOS, has a hash for each file, and no addresses. Its first line is a
digest of what it was made from, which is what ``--check`` compares.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
LOCKS = {
    "requirements.lock": "everything that developing and testing needs",
    "deploy/runtime.lock": "what the worker runs on: a part of requirements.lock, in the same versions",
    "deploy/build.lock": "what makes the wheel",
    "deploy/tools.lock": "what checks deploy/ and the supply chain, kept apart from what is checked",
}
MARK = "# made from: "
OLDEST_PYTHON = "3.11"
# Hatchling asks for this one only while it makes an editable install; isolation, which would fetch it, is off.
EDITABLE_INSTALL = ("editables~=0.3",)


def digest(name: str) -> str:
    """Return a digest of everything that decides a lock's contents; comments and order do not."""
    return hashlib.sha256(json.dumps(_inputs(name), sort_keys=True).encode()).hexdigest()


def _inputs(name: str) -> dict[str, Any]:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    build = sorted(project["build-system"]["requires"])
    dependencies = sorted(project["project"]["dependencies"])
    python = [OLDEST_PYTHON, project["project"]["requires-python"]]
    if name == "requirements.lock":
        extras = project["project"].get("optional-dependencies", {})
        return {
            "build": build,
            "dependencies": dependencies,
            "editable": sorted(EDITABLE_INSTALL),
            "extras": {extra: sorted(requirements) for extra, requirements in extras.items()},
            "python": python,
        }
    wanted = {
        "deploy/runtime.lock": dependencies,
        "deploy/build.lock": build,
        "deploy/tools.lock": sorted(project["dependency-groups"]["tools"]),
    }
    return {"requirements": wanted[name], "python": python}


def outdated() -> list[str]:
    """Return the locks that were not made from today's ``pyproject.toml``."""
    return [name for name in LOCKS if _mark(ROOT / name) != MARK + digest(name)]


def _mark(lock: Path) -> str:
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    return lines[0] if lines else ""


def write(names: list[str]) -> None:
    """Resolve with uv, installed for this moment only, and write these locks."""
    with tempfile.TemporaryDirectory(prefix="pike-lock-") as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        subprocess.run([binaries / "python", "-m", "pip", "install", "-qq", "uv"], check=True)  # noqa: S603
        for name in names:
            command = [
                *(binaries / "uv", "pip", "compile", *_sources(name, Path(folder))),
                *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"),
                *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
            ]
            # The versions of the present lock are not kept: this is also how dependencies are brought up to date.
            made = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
            (ROOT / name).write_text(f"{MARK}{digest(name)}\n{made.stdout}", encoding="utf-8")


def _sources(name: str, folder: Path) -> list[str | Path]:
    inputs = _inputs(name)
    listed = folder / "listed.in"
    if name == "requirements.lock":
        listed.write_text("\n".join([*inputs["build"], *EDITABLE_INSTALL]) + "\n", encoding="utf-8")
        return ["pyproject.toml", listed, "--extra", "dev"]
    listed.write_text("\n".join(inputs["requirements"]) + "\n", encoding="utf-8")
    if name == "deploy/tools.lock":
        return [listed]
    return [listed, "--constraint", "requirements.lock"]


def main() -> None:
    """Write the locks (or those named), or with ``--check`` exit with 1 and one sentence when one is not current."""
    if "--check" not in sys.argv[1:]:
        write(sys.argv[1:] or list(LOCKS))
    elif stale := outdated():
        were = "was" if len(stale) == 1 else "were"
        sys.exit(f"{', '.join(stale)} {were} made from another pyproject.toml. Run: make lock")


if __name__ == "__main__":
    main()
