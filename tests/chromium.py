"""Chromium for tests: the machine's own, else from Debian's package, installed like the servers."""

import shutil

from worker.servers.install import install_missing


def find_chromium() -> str:
    """Return Chromium's path. Raises ``ServersUnavailable`` with what to type when it cannot be installed."""
    install_missing(lambda: [] if shutil.which("chromium") else ["chromium", "fonts-dejavu-core"], print)
    found = shutil.which("chromium")
    assert found, "the package chromium has no chromium"
    return found
