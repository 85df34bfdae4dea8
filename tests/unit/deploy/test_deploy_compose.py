"""The compose file agrees with the code and with the files that it mounts."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from deploy_files import DEPLOY, read
from promtool import find_promtool, run

from worker.cli.supervising import GRACE_S
from worker.settings import FILE_ENDING, PREFIX, Settings, load

COMPOSE = read("compose/compose.yaml")
SERVICES = COMPOSE["services"]
OURS = ("migrate", "worker", "sandbox")


def secrets_made(folder: Path) -> dict[str, str]:
    subprocess.run(["sh", DEPLOY / "compose" / "secrets.sh", folder], check=True, capture_output=True)
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_every_setting_exists_and_every_secret_is_handed_to_the_service() -> None:
    for name in ("migrate", "worker"):
        service = SERVICES[name]
        for variable, value in service["environment"].items():
            setting = variable.removeprefix(PREFIX).removesuffix(FILE_ENDING).lower()
            assert setting in Settings.model_fields
            if variable.endswith(FILE_ENDING):
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_the_secrets_that_are_made_are_all_there_are_and_good_enough_to_start_with(tmp_path: Path) -> None:
    made = secrets_made(tmp_path / "secrets")
    named = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert named <= set(made)
    given = SERVICES["worker"]["environment"]
    settings = load({name: value.replace("/run/secrets", str(tmp_path / "secrets")) for name, value in given.items()})
    assert made["rabbitmq_password"] in settings.amqp_url.get_secret_value()
    assert f"default_pass = {made['rabbitmq_password']}\n" in made["rabbitmq_login"]
    assert made["postgres_password"] in settings.database_url.get_secret_value()
    assert len({made[name] for name in ("rabbitmq_password", "postgres_password", "link_key")}) == 3


def test_secrets_that_are_there_already_are_kept_and_shut_away(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert secrets_made(folder) == secrets_made(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_servers_are_called_by_the_names_that_they_have(tmp_path: Path) -> None:
    made = secrets_made(tmp_path)
    assert re.search(r"@(\w+):5672/", made["amqp_url"])[1] in SERVICES
    assert re.search(r"@(\w+):5432/", made["database_url"])[1] in SERVICES
    (job, broker) = read("compose/prometheus.yml")["scrape_configs"]
    (looked_up,) = job["dns_sd_configs"]
    assert looked_up["names"] == ["worker"]
    assert looked_up["port"] == Settings.model_fields["http_port"].default
    assert broker["static_configs"][0]["targets"] == ["rabbitmq:15692"]
    assert "rabbitmq_prometheus" in (DEPLOY / "compose/rabbitmq/enabled_plugins").read_text()


@pytest.mark.parametrize("service", [*OURS, "prometheus", "grafana"])
def test_what_needs_no_rights_has_none(service: str) -> None:
    made = SERVICES[service]
    assert made["read_only"] is True
    assert made["cap_drop"] == ["ALL"]
    assert made["security_opt"] == ["no-new-privileges:true"]


def test_nothing_is_open_to_other_machines_and_every_image_has_a_version() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]+|\$\{PIKE_IMAGE:-pike-economic:dev\}", service["image"]), name


def test_the_worker_waits_for_what_it_needs_and_is_given_time_to_end() -> None:
    worker = SERVICES["worker"]
    assert worker["depends_on"] == {
        "rabbitmq": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert int(worker["stop_grace_period"].removesuffix("s")) > GRACE_S
    for name, service in SERVICES.items():
        if name != "migrate":
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / "compose" / source).exists(), volume


def test_grafana_gets_our_dashboards_and_the_data_source_they_ask_for() -> None:
    (source,) = read("compose/grafana/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read("compose/grafana/dashboards/pike-economic.yml")["providers"]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["grafana"]["volumes"]}
    folder = DEPLOY / "compose" / mounted[provider["options"]["path"]]
    boards = sorted(folder.glob("*.json"))
    assert boards
    for board in boards:
        panels = json.loads(board.read_text())
        chosen = {entry["name"] for entry in panels["templating"]["list"] if entry.get("query") == source["type"]}
        for asked in re.findall(r'"datasource": \{\s*"type": "(\w+)",\s*"uid": "([^"]+)"', board.read_text()):
            assert asked[0] == source["type"]
            assert asked[1] == source["uid"] or asked[1].strip("${}") in chosen
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (folder / Path(home).name).exists()


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for source, target in (
        ("compose/prometheus.yml", "prometheus.yml"),
        ("alerts/pike-economic.rules.yml", "rules/pike-economic.rules.yml"),
    ):
        (tmp_path / target).write_text((DEPLOY / source).read_text())
    checked = run(find_promtool(), "check", "config", "prometheus.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout
    assert yaml.safe_load((tmp_path / "rules/pike-economic.rules.yml").read_text())["groups"]
