"""Makes the wheel and proves it (``make release``): the same bytes twice, and it runs where nothing else is installed.

Everything goes to ``dist/``. Needs git, the development environment for hatchling, and a package index for the empty
environment; installs by ``deploy/runtime.lock`` only, hashes checked.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "dist"


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run and return what it printed; a failure ends the release with its own words."""
    done = subprocess.run(  # noqa: S603
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def build(folder: Path) -> Path:
    """Return the wheel, made of a clean copy of what git holds so that nothing left lying about gets in."""
    copy = folder / "source"
    copy.mkdir(parents=True)
    archive = folder / "source.tar"
    run("git", "archive", "--output", archive, "HEAD")
    run("tar", "-xf", archive, "-C", copy)
    stamp = run("git", "log", "-1", "--format=%ct")
    commit = run("git", "rev-parse", "HEAD")
    run(
        *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder),
        cwd=copy,
        SOURCE_DATE_EPOCH=stamp,
        PIKE_ECONOMIC_COMMIT=commit,
        PYTHONPATH="",
    )
    return next(folder.glob("*.whl"))


def try_out(wheel: Path, folder: Path) -> None:
    """Install into an empty environment and start the command line."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    began = time.monotonic()
    run(*pip, "--no-deps", "--require-hashes", "-r", ROOT / "deploy" / "runtime.lock")
    run(*pip, "--no-deps", wheel)
    print(f"  installed into an empty environment in {time.monotonic() - began:.1f} s")
    command = folder / "bin" / "pike-economic"
    print(f"  {run(command, '--version', cwd=folder, PYTHONPATH='')}")
    began = time.monotonic()
    run(command, "--help", cwd=folder, PYTHONPATH="")
    print(f"  pike-economic --help in {time.monotonic() - began:.2f} s")
    run(python, "-m", "pip", "check", cwd=folder, PYTHONPATH="")


def main() -> None:
    """Build twice, compare, try out, keep."""
    if run("git", "status", "--porcelain"):
        print("  note: changes that are not committed are not in the wheel")
    with tempfile.TemporaryDirectory(prefix="pike-release-") as name:
        folder = Path(name)
        first, second = build(folder / "one"), build(folder / "two")
        digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (first, second)]
        if digests[0] != digests[1]:
            sys.exit(f"The wheel is not reproducible: {digests[0]} and {digests[1]}")
        print(f"  {first.name} twice the same: sha256 {digests[0]}")
        try_out(first, folder / "empty")
        OUT.mkdir(exist_ok=True)
        shutil.copy(first, OUT)
        (OUT / "SHA256SUMS").write_text(f"{digests[0]}  {first.name}\n", encoding="utf-8")
    print(f"  kept as dist/{first.name}")


if __name__ == "__main__":
    main()
