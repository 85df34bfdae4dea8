"""The same customers and contacts by dlt: ``rest_api`` source, Postgres destination, merge by key.

Run with the peers' Python: ``peer_dlt.py API DSN FOLDER``; prints one JSON object.
"""

import json
import os
import resource
import sys
import time


def main(address: str, dsn: str, folder: str) -> None:
    """Load once and tell seconds, rows and memory."""
    os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "DLT_DATA_DIR": folder})
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {"base_url": address},
            "resource_defaults": {"write_disposition": "merge"},
            "resources": [
                {
                    "name": "customers",
                    "primary_key": "customerNumber",
                    "endpoint": {
                        "path": "customers",
                        "params": {"pagesize": 1000},
                        "data_selector": "collection",
                        "paginator": {"type": "json_link", "next_url_path": "pagination.nextPage"},
                    },
                },
                {
                    "name": "contacts",
                    "primary_key": "number",
                    "endpoint": {
                        "path": "customersapi/v3.1.0/Contacts",
                        "data_selector": "items",
                        "paginator": {"type": "cursor", "cursor_path": "cursor", "cursor_param": "cursor"},
                    },
                },
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=folder, destination=dlt.destinations.postgres(dsn), dataset_name="peer_dlt"
    )
    began = time.perf_counter()
    pipeline.run(source)
    seconds = time.perf_counter() - began
    counts = pipeline.last_trace.last_normalize_info.row_counts
    rows = counts.get("customers", 0) + counts.get("contacts", 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rows": rows, "peak_mb": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
