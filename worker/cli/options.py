"""Options that many commands have."""

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys instead of text.")
WORKSPACE = click.option("--workspace", "-w", required=True, metavar="W", help="The Pike workspace.")
TIMEOUT = click.option("--timeout", "wait_s", default=600.0, show_default=True, help="Seconds to wait for the answer.")
