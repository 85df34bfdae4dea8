"""What stands in deploy/, read once."""

from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


def read(path: str) -> Any:
    """Return the one document in a YAML file under deploy/."""
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def environment_file(path: str) -> dict[str, str]:
    """Return what a file of NAME=value lines says."""
    lines = (DEPLOY / path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
