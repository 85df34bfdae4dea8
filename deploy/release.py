"""Makes the wheel and proves it (``make release``): the same bytes twice, and it runs where nothing else is installed.

Everything goes to ``dist/``, with a bill of materials and the licences. Needs git, the development environment for
hatchling, and a package index for the empty environment; installs by ``deploy/runtime.lock`` only, hashes checked.
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
from statistics import median

from deploy.supply_chain import bill_of_materials, licences

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "dist"
HELPS = 11


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


def try_out(wheel: Path, folder: Path) -> Path:
    """Install into an empty environment and start the command line; returns its Python."""
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "-qq")
    began = time.monotonic()
    run(*pip, "install", "--no-deps", "--require-hashes", "-r", ROOT / "deploy" / "runtime.lock")
    run(*pip, "install", "--no-deps", wheel)
    print(f"  installed into an empty environment in {time.monotonic() - began:.1f} s (to reach: 20 s)")
    command = folder / "bin" / "pike-economic"
    print(f"  {run(command, '--version', cwd=folder, PYTHONPATH='')}")
    taken = [_seconds(command, "--help", cwd=folder) for _ in range(HELPS)]
    print(f"  --help: {median(taken):.2f} s, median of {HELPS} (fastest {min(taken):.2f}; to reach: 0.5 s)")
    run(*pip, "check", cwd=folder, PYTHONPATH="")
    return python


def _seconds(*command: str | Path, cwd: Path) -> float:
    began = time.monotonic()
    run(*command, cwd=cwd, PYTHONPATH="")
    return time.monotonic() - began


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
        python = try_out(first, folder / "empty")
        OUT.mkdir(exist_ok=True)
        print(f"  licences of {licences(python, OUT / 'licences.json')} packages, all agreed to")
        print(f"  bill of materials: {bill_of_materials(python, OUT / 'sbom.cdx.json')} components, CycloneDX 1.6")
        shutil.copy(first, OUT)
        (OUT / "SHA256SUMS").write_text(f"{digests[0]}  {first.name}\n", encoding="utf-8")
    print(f"  kept in dist/: {', '.join(sorted(file.name for file in OUT.iterdir()))}")


if __name__ == "__main__":
    main()
