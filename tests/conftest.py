"""Real servers for the tests that ask for them: provided once, with a fresh database and virtual host per test.

The environment variables PIKE_ECONOMIC_TEST_AMQP_URL and PIKE_ECONOMIC_TEST_DATABASE_URL name running servers to use
instead of private ones.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from support import Databases, SharedVhost, Vhosts, corners

from worker.servers import Servers, ServersUnavailable, provide

_STARTED: pytest.StashKey[Servers] = pytest.StashKey()


settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how long an example takes says something about the machine only


def pytest_configure() -> None:
    """Take Ctrl-C as a terminal gives it: what a script starts in the background ignores it, and so do its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers before any test's time limit runs: on a bare machine they are installed first."""
    needed = any("servers" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.testsfailed and not session.config.getoption("collectonly"):
        _started(session.config)


def _started(config: pytest.Config) -> Servers:
    if _STARTED not in config.stash:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        try:
            config.stash[_STARTED] = stack.enter_context(
                provide(announce=reporter.write_line if reporter else lambda _message: None)
            )
        except ServersUnavailable as exc:
            pytest.exit(f"no servers to test against: {exc}", returncode=2)
    return config.stash[_STARTED]


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """Return the RabbitMQ and the Postgres of this run; they end with it."""
    return _started(pytestconfig)


@pytest.fixture(scope="session")
def databases(servers: Servers) -> Iterator[Databases]:
    """Return the maker of throw-away databases."""
    made = Databases(servers.database_url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def vhosts(servers: Servers) -> Vhosts | SharedVhost:
    """Return the maker of throw-away corners of RabbitMQ."""
    return corners(servers)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """Return the address of an empty database that goes with the test."""
    url = databases.create(migrated=False)
    yield url
    databases.drop(url)


@pytest.fixture
def migrated_database_url(databases: Databases) -> Iterator[str]:
    """Return the address of a database with every migration applied, which goes with the test."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
def amqp_url(vhosts: Vhosts | SharedVhost) -> Iterator[str]:
    """Return the address of a virtual host in which nothing is left from other tests."""
    url = vhosts.take()
    yield url
    vhosts.give_back(url)
