"""What the worker is made of: a bill of materials, the licences, known vulnerabilities.

``make release`` writes the first two for the environment that it tried the wheel in; ``make audit`` asks for the third.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv-tools" / "bin"
OURSELVES = "pike-economic"

ALLOWED = {
    *("Apache-2.0", "Apache Software License", "BSD-2-Clause", "BSD-3-Clause", "BSD License"),
    *("MIT", "MIT License", "MIT-0", "PSF-2.0", "Python Software Foundation License"),
}
"""Licences that ask for no more than to be named; as they are called in the packages' own metadata."""

ACCEPTED = {
    "pygal": "GNU Lesser General Public License v3 or later (LGPLv3+)",
}
"""Single packages under another one, looked at by a person. pygal: used unchanged, as a package of its own that can be
replaced, so the LGPL asks for nothing more than to say so; whoever changes it must publish the change."""


def licence_faults(packages: Iterable[Mapping[str, str]]) -> list[str]:
    """Return a sentence for every package (``Name``, ``License``) whose licence nobody has agreed to."""
    return [
        f"{package['Name']} is under {package['License']!r}, which is not on the list in deploy/supply_chain.py: "
        "have somebody decide, then add it there, or do without the package"
        for package in packages
        if package["Name"] != OURSELVES
        and ACCEPTED.get(package["Name"].lower()) != package["License"]
        and not _allowed(package["License"])
    ]


def _allowed(licence: str) -> bool:
    """Several apply together, unless "OR" leaves the choice."""
    choices = [choice.replace(" AND ", ";").split(";") for choice in licence.split(" OR ")]
    return any(all(part.strip(" ()") in ALLOWED for part in parts) for parts in choices)


def licences(python: Path, target: Path) -> int:
    """Write the licences of what is installed for ``python``; returns their number. Ends with the faults, if any."""
    told = _tool("pip-licenses", f"--python={python}", "--format=json", "--from=mixed", "--with-urls")
    packages = json.loads(told)
    if faults := licence_faults(packages):
        sys.exit("\n".join(faults))
    target.write_text(json.dumps(packages, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(packages)


def bill_of_materials(python: Path, target: Path) -> int:
    """Write a CycloneDX document of what is installed for ``python``; returns the number of components."""
    options = ("--output-reproducible", "--of", "JSON", "--sv", "1.6", "--pyproject", ROOT / "pyproject.toml")
    _tool("cyclonedx-py", "environment", *options, "--validate", "-o", target, python)
    return len(json.loads(target.read_text(encoding="utf-8"))["components"])


def audit() -> int:
    """Ask for known vulnerabilities of everything that is locked for running; no answer is a fault."""
    command = [TOOLS / "pip-audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "-r"]
    done = subprocess.run(  # noqa: S603
        [*command, ROOT / "deploy" / "runtime.lock", *sys.argv[1:]], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        sys.exit(f"pip-audit could not be asked: {done.stderr.strip().splitlines()[-1]}")
    print("\n".join(audited := audit_faults(packages)) or f"{len(packages)} packages, no known vulnerability")
    return 1 if audited else 0


def audit_faults(packages: Sequence[Mapping[str, object]]) -> list[str]:
    """Return what is wrong in pip-audit's answer, which calls good what it could not look up."""
    faults = []
    for package in packages:
        vulnerabilities = package.get("vulns") or []
        assert isinstance(vulnerabilities, list)  # noqa: S101  # for the type checker
        faults += [
            f"{package['name']} {package['version']}: {each['id']}, fixed in {', '.join(each['fix_versions']) or '-'}"
            for each in vulnerabilities
        ]
    skipped = sorted(str(package["name"]) for package in packages if package.get("skip_reason"))
    return faults + ([f"no answer about {len(skipped)} packages: {', '.join(skipped)}"] if skipped else [])


def _tool(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(  # noqa: S603
        [TOOLS / name, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(audit())
