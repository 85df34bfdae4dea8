"""The Kubernetes manifests agree with the code: ports, settings, queue names, and how long a stop takes."""

import inspect
import re

import pytest
from deploy_files import KUBERNETES, environment_file, read

from worker.bootstrap import FOR_EVENTS, FOR_OTHERS
from worker.broker.delivery import Lane
from worker.broker.topology import LANE_QUEUES
from worker.cli.supervising import GRACE_S
from worker.clock import SystemClock
from worker.handlers import handlers
from worker.ops import app
from worker.runtime.lifecycle import DRAIN_S, FLUSH_S
from worker.settings import PREFIX, Settings

DEPLOYMENT = read("kubernetes/base/deployment.yaml")
JOB = read("kubernetes/migrate/job.yaml")
POLICY = read("kubernetes/base/networkpolicy.yaml")
SCALED = read("kubernetes/components/keda/scaledobject.yaml")
SETTINGS = environment_file("kubernetes/base/settings.env")
WORKLOADS = {"worker": DEPLOYMENT, "migrate": JOB}
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}

RABBITMQ_SCALER = {
    *("protocol", "queueName", "mode", "value", "activationValue", "hostFromEnv", "vhostName", "useRegex", "pageSize"),
    *("operation", "timeout", "excludeUnacknowledged", "unsafeSsl", "usernameFromEnv", "passwordFromEnv"),
}
"""What KEDA's RabbitMQ trigger understands (its documentation, "RabbitMQ Queue", 2.16 and later)."""


def pod(workload: str) -> dict:
    return WORKLOADS[workload]["spec"]["template"]["spec"]


def ports(direction: str) -> set[int]:
    return {port["port"] for rule in POLICY["spec"][direction] for port in rule["ports"]}


def test_one_port_is_listened_on_probed_served_and_let_in() -> None:
    port = int(SETTINGS[PREFIX + "HTTP_PORT"])
    (listed,) = pod("worker")["containers"][0]["ports"]
    assert listed == {"name": "http", "containerPort": port}
    (served,) = read("kubernetes/base/service.yaml")["spec"]["ports"]
    assert served["targetPort"] == "http"
    assert ports("ingress") == {port}
    container = pod("worker")["containers"][0]
    routes = inspect.getsource(app.make_app)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] == "http"
        assert f'"{asked["path"]}"' in routes
    (scraped,) = read("kubernetes/components/prometheus-operator/podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    assert (scraped["port"], f'"{scraped["path"]}"' in routes) == ("http", True)


def test_it_listens_where_the_kubelet_asks() -> None:
    assert SETTINGS[PREFIX + "HTTP_HOST"] == "0.0.0.0"


def test_out_go_names_amqp_postgres_and_https_and_nothing_else() -> None:
    assert ports("egress") == {53, 5671, 5672, 5432, 443}
    assert POLICY["spec"]["policyTypes"] == ["Ingress", "Egress"]
    anywhere = [rule for rule in POLICY["spec"]["egress"] if any("ipBlock" in to for to in rule["to"])]
    assert [[port["port"] for port in rule["ports"]] for rule in anywhere] == [[443]]
    blocked = anywhere[0]["to"][0]["ipBlock"]["except"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(blocked)
    migrating = read("kubernetes/migrate/networkpolicy.yaml")["spec"]["egress"]
    assert {port["port"] for rule in migrating for port in rule["ports"]} == {53, 5432}


def test_every_setting_that_is_named_exists() -> None:
    named = set(SETTINGS)
    for file in KUBERNETES.rglob("*"):
        if file.suffix in (".yaml", ".md", ".env"):
            named |= set(re.findall(r"\bPIKE_ECONOMIC_[A-Z_]+\b(?==)", file.read_text()))
    assert named
    assert {name.removeprefix(PREFIX).lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_pods_meet_the_restricted_profile_and_cannot_talk_to_kubernetes(workload: str) -> None:
    spec = pod(workload)
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert {"requests", "limits"} == set(container["resources"])


def test_a_pod_may_take_longer_to_end_than_a_worker_and_a_slice_of_an_import() -> None:
    grace = pod("worker")["terminationGracePeriodSeconds"]
    assert grace > DRAIN_S + FLUSH_S + DEFAULTS["import_slice_s"]
    assert grace > GRACE_S


def test_policies_pick_the_pods_that_there_are() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    selectors = [
        DEPLOYMENT["spec"]["selector"]["matchLabels"],
        POLICY["spec"]["podSelector"]["matchLabels"],
        read("kubernetes/base/service.yaml")["spec"]["selector"],
        read("kubernetes/base/poddisruptionbudget.yaml")["spec"]["selector"]["matchLabels"],
        read("kubernetes/components/prometheus-operator/podmonitor.yaml")["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod("worker")["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    migrating = read("kubernetes/migrate/networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"]
    assert migrating == JOB["spec"]["template"]["metadata"]["labels"]
    assert not POLICY["spec"]["podSelector"]["matchLabels"].items() <= migrating.items()


def test_scaling_looks_at_the_queues_that_the_worker_declares() -> None:
    triggers = {trigger["name"]: trigger for trigger in SCALED["spec"]["triggers"]}
    assert {name: trigger["metadata"]["queueName"] for name, trigger in triggers.items()} == {
        "work": LANE_QUEUES[Lane.WORK],
        "bulk": LANE_QUEUES[Lane.BULK],
    }
    login = read("kubernetes/components/keda/triggerauthentication.yaml")
    for trigger in triggers.values():
        assert trigger["type"] == "rabbitmq"
        assert set(trigger["metadata"]) <= RABBITMQ_SCALER
        assert trigger["authenticationRef"]["name"] == login["metadata"]["name"]
    # Fewer than one worker takes at once: otherwise it would be full before another is asked for
    for lane in ("work", "bulk"):
        at_once = DEFAULTS[f"prefetch_{lane}"]
        assert at_once / 2 <= int(triggers[lane]["metadata"]["value"]) < at_once


def test_pages_say_how_many_connections_to_postgres_a_worker_may_hold() -> None:
    most = FOR_EVENTS + DEFAULTS["prefetch_bulk"] + FOR_OTHERS
    for page in ("README.md", "docs/how-to/scale-out.md", "kubernetes/README.md"):
        assert re.search(rf"\b{most}\b", (KUBERNETES.parent / page).read_text(encoding="utf-8")), page
    assert f"up to {most} connections" in (KUBERNETES.parent / "README.md").read_text(encoding="utf-8")


def test_scaling_down_waits_longer_than_any_delivery_may_take() -> None:
    longest = max(handler.time_limit_s for handler in handlers(SystemClock()).values())
    down = SCALED["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] > longest
    assert SCALED["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert SCALED["spec"]["minReplicaCount"] >= 2


def test_the_way_in_leaves_out_health_and_metrics() -> None:
    (rule,) = read("kubernetes/overlays/example/ingress.yaml")["spec"]["rules"]
    paths = {path["path"] for path in rule["http"]["paths"]}
    assert "/connect" in paths
    assert not paths & {"/", "/health", "/metrics"}
