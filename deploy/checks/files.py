"""Dockerfile, shell scripts, compose file and Prometheus' configuration, each read by the program it is meant for."""

import tempfile
from pathlib import Path

from deploy.checks.tools import DEPLOY, ROOT, Faulty, must_pass, must_refuse
from tests.promtool import find_promtool
from tests.promtool import run as promtool

COMPOSE = DEPLOY / "compose" / "compose.yaml"
OURS = (".ci", "deploy", "events", "schemas", "tests", "worker")


def dockerfile() -> list[str]:
    """hadolint."""
    must_pass("hadolint", DEPLOY / "Dockerfile")
    must_refuse("hadolint", "-", given="FROM python\nRUN cd /tmp && sudo ls\n")
    return ["hadolint: nothing to say"]


def scripts() -> list[str]:
    """shellcheck, for every file of ours that a shell runs."""
    files = [file for folder in OURS for file in sorted((ROOT / folder).rglob("*")) if "node_modules" not in file.parts]
    found = [str(file.relative_to(ROOT)) for file in files if _is_shell(file)]
    must_pass("shellcheck", *found)
    must_refuse("shellcheck", "-", given="#!/bin/sh\nrm -r $1/*\n")
    return [f"shellcheck: nothing to say about {', '.join(found)}"]


def _is_shell(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(100)
    return first.startswith(b"#!") and first.rstrip().endswith((b"sh", b"bash"))


def compose() -> list[str]:
    """Docker compose itself, which resolves and checks the file without an engine."""
    services = must_pass("docker-compose", "--file", COMPOSE, "config", "--services").split()
    broken = COMPOSE.read_text(encoding="utf-8").replace("stop_grace_period", "stop_grace_periods", 1)
    must_refuse("docker-compose", "--project-directory", COMPOSE.parent, "--file", "-", "config", given=broken)
    return [f"docker compose config: {len(services)} services: {', '.join(sorted(services))}"]


def prometheus() -> list[str]:
    """Promtool, with the rules where the compose file mounts them."""
    tool = find_promtool()
    with tempfile.TemporaryDirectory(prefix="pike-prometheus-") as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        text = (DEPLOY / "compose" / "prometheus.yml").read_text(encoding="utf-8")
        rules = (DEPLOY / "alerts" / "pike-economic.rules.yml").read_text(encoding="utf-8")
        (folder / "prometheus.yml").write_text(text, encoding="utf-8")
        (folder / "rules" / "pike-economic.rules.yml").write_text(rules, encoding="utf-8")
        checked = promtool(tool, "check", "config", "prometheus.yml", cwd=folder)
        if checked.returncode or "1 rule files found" not in checked.stdout:
            raise Faulty(f"promtool: {checked.stdout}{checked.stderr}")
        (folder / "prometheus.yml").write_text(text.replace("scrape_configs", "scrape_config"), encoding="utf-8")
        if not promtool(tool, "check", "config", "prometheus.yml", cwd=folder).returncode:
            raise Faulty("promtool does not see a planted fault")
    return ["promtool: configuration and rules are valid"]
