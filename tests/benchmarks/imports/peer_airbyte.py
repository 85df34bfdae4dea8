"""The same lists by Airbyte's ``source-visma-economic``, read only: its base address points at the local API.

Run with a Python 3.10 that has it: ``peer_airbyte.py API FOLDER STREAM…``; writes Airbyte's messages to stdout.
"""

import json
import sys
from pathlib import Path


def main(address: str, folder: str, *streams: str) -> None:
    """Read the streams."""
    import source_visma_economic
    import yaml
    from airbyte_cdk.entrypoint import launch
    from airbyte_cdk.sources.declarative.manifest_declarative_source import ManifestDeclarativeSource

    manifest = (Path(source_visma_economic.__file__).parent / "manifest.yaml").read_text()
    source = ManifestDeclarativeSource(
        yaml.safe_load(manifest.replace("https://restapi.e-conomic.com/", address + "/"))
    )
    Path(folder, "config.json").write_text(json.dumps({"app_secret_token": "a", "agreement_grant_token": "b"}))
    catalog = {
        "streams": [
            {
                "stream": {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
                "sync_mode": "full_refresh",
                "destination_sync_mode": "overwrite",
            }
            for name in streams
        ]
    }
    Path(folder, "catalog.json").write_text(json.dumps(catalog))
    launch(source, ["read", "--config", f"{folder}/config.json", "--catalog", f"{folder}/catalog.json"])


if __name__ == "__main__":
    main(*sys.argv[1:])
