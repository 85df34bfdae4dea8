"""Commands about access: ``rotate-keys``, ``connect-link``, ``operator-token``."""

import hashlib
import secrets
import time

import click

from worker.bootstrap import tools
from worker.cli.output import USAGE, fail, print_json, with_settings
from worker.handlers.connect_links import Link, address
from worker.runtime.rotating import rotate_keys as rotate
from worker.store.crypto import CannotOpen


async def rotate_keys(as_json: bool) -> int:
    """Seal every stored grant with the first of the encryption keys."""
    async with tools(with_settings()) as kit:
        try:
            done = await rotate(kit.database, kit.vault)
        except CannotOpen as exc:
            fail(f"{exc}. Add that key to PIKE_ECONOMIC_ENCRYPTION_KEYS, or reconnect that workspace.", USAGE)
    if as_json:
        print_json({"key_id": done.key_id, "rotated": done.rotated, "kept": done.kept})
    else:
        click.echo(
            f"{done.rotated} grants were sealed anew with key '{done.key_id}', {done.kept} were already. "
            "Keys behind it in the setting are no longer needed once every worker has this one first."
        )
    return 0


def connect_link(workspace: str, by: str, minutes: int, as_json: bool) -> int:
    """Print a link as Pike would make it, for trying the pages out."""
    settings = with_settings()
    keys = settings.link_keys()
    if not keys or not settings.public_url:
        fail("Connecting in a browser needs PIKE_ECONOMIC_LINK_KEY and PIKE_ECONOMIC_PUBLIC_URL.", USAGE)
    link = Link(workspace, by, int(time.time()) + 60 * minutes, secrets.token_urlsafe(16))
    found = address(settings.public_url, link, keys[0])
    if as_json:
        print_json({"url": found, "expires": link.expires})
    else:
        click.echo(found)
    return 0


def operator_token(name: str, role: str, as_json: bool) -> int:
    """Make a token and show what to put into the setting; nothing is stored."""
    token = secrets.token_urlsafe(32)
    entry = f"{name}/{role}:sha256${hashlib.sha256(token.encode()).hexdigest()}"
    if as_json:
        print_json({"token": token, "entry": entry})
    else:
        click.echo(f"Token for {name}, shown this once:  {token}")
        click.echo(f"Entry for PIKE_ECONOMIC_OPERATOR_TOKENS:  {entry}")
    return 0
