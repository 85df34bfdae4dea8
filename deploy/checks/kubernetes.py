"""Kubernetes: what kustomize makes of the folders, against the schemas of Kubernetes and KEDA. No cluster is asked."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from deploy.checks.tools import DEPLOY, Faulty, must_pass, must_refuse

FOLDERS = ("base", "migrate", "overlays/example", "overlays/example/migrate")
VERSIONS = ("1.31", "1.34", "1.37")
"""Kubernetes' own schemas that come with kubernetes-validate; the oldest and newest are those of the README."""

_KEDA_SCHEMAS = """
import json
from cloudcoil.models.keda import v1alpha1 as keda
kinds = (keda.ScaledObject, keda.TriggerAuthentication)
print(json.dumps({kind.__name__: kind.model_json_schema(by_alias=True) for kind in kinds}))
"""


def kubernetes() -> list[str]:
    """Build each folder and check every resource, strictly: an unknown field is a fault."""
    keda = _strict(json.loads(must_pass("python", "-c", _KEDA_SCHEMAS)))
    seen, unchecked = [], set()
    with tempfile.TemporaryDirectory(prefix="pike-kubernetes-") as name:
        for folder in FOLDERS:
            made = list(yaml.safe_load_all(must_pass("kubectl", "kustomize", DEPLOY / "kubernetes" / folder)))
            native = [each for each in made if _group(each) not in ("keda.sh", "monitoring.coreos.com")]
            _native(native, Path(name) / "native.yaml")
            for each in made:
                if _group(each) == "keda.sh":
                    _keda(each, keda[each["kind"]])
                elif each not in native:
                    unchecked.add(each["kind"])
            seen.append(f"{folder}: {', '.join(sorted(each['kind'] for each in made))}")
    return [*seen, f"strict, for Kubernetes {', '.join(VERSIONS)} and KEDA; without a schema: {', '.join(unchecked)}"]


def _group(resource: dict[str, Any]) -> str:
    return str(resource["apiVersion"]).rpartition("/")[0]


def _native(resources: list[dict[str, Any]], file: Path) -> None:
    file.write_text(yaml.safe_dump_all(resources), encoding="utf-8")
    for version in VERSIONS:
        must_pass("kubernetes-validate", "--strict", "-k", version, file)
    broken = json.loads(json.dumps(resources))
    broken[-1]["spec"]["planted"] = True
    file.write_text(yaml.safe_dump_all(broken), encoding="utf-8")
    must_refuse("kubernetes-validate", "--strict", file)


def _keda(resource: dict[str, Any], schema: dict[str, Any]) -> None:
    for fault in _faults(resource, schema):
        raise Faulty(f"{resource['kind']} {resource['metadata']['name']}: {fault}")
    if not list(_faults({**resource, "spec": {**resource["spec"], "planted": True}}, schema)):
        raise Faulty("the schema of KEDA does not see a planted fault")


def _faults(resource: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(resource):
        yield f"{error.json_path}: {error.message}"


def _strict(schema: Any) -> Any:
    """Let an object have no other fields than its schema names."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tightened = {name: _strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        tightened.setdefault("additionalProperties", False)
    return tightened
