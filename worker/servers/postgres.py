"""A private Postgres cluster from the installed package: own port and folder, loopback only."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import time
from pathlib import Path

from worker.servers.probes import speaks_postgres
from worker.servers.process import Folder, Process, ServersUnavailable, free_port

START_TIMEOUT_S = 30.0
CHILDREN_S = 10.0
"""How long the children of a killed server may take to notice; until then there is no starting it again."""
_STILL_THERE = "pre-existing shared memory block"


class PrivatePostgres:
    """One cluster. ``durable=False`` leaves out fsync: right for tests, which never survive the machine anyway."""

    def __init__(self, *, durable: bool = True) -> None:
        self._durable = durable
        self._folder: Folder | None = None
        self._server: Process | None = None
        self._port = free_port()
        # Whoever may connect may run programs as the server's user, and loopback is open to everybody on this machine
        self._password = secrets.token_hex(16)

    @staticmethod
    def binaries() -> Path | None:
        """Return the folder of the newest installed server, or ``None``."""
        found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
        found.sort(key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)
        if found:
            return found[-1]
        initdb = shutil.which("initdb")
        return Path(initdb).resolve().parent if initdb else None

    @property
    def database_url(self) -> str:
        """Address of the database ``postgres``."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        if self._server is None:
            raise ServersUnavailable("the private Postgres is not started")
        return self._server.pid

    def start(self) -> None:
        """Create and start the cluster. Raises ``ServersUnavailable`` with the end of its log."""
        binaries = self.binaries()
        if binaries is None:
            raise ServersUnavailable("Postgres is not installed")
        self._folder = Folder("pike-pg")
        base, user = self._folder.path, _unprivileged_user()
        if user is not None:
            os.chown(base, user.pw_uid, user.pw_gid)
        password = base / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        if user is not None:
            os.chown(password, user.pw_uid, user.pw_gid)
        making = self._server = Process(
            [str(binaries / "initdb"), "-D", str(base / "data"), "-U", "postgres", "-A", "scram-sha-256",
             "--pwfile", str(password), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            folder=self._folder, log=base / "initdb.log", environment=_environment(base), user=user,
        )  # fmt: skip
        making.finish("initdb", START_TIMEOUT_S)
        password.unlink()
        self._start_server()

    def _start_server(self) -> None:
        binaries, folder = self.binaries(), self._folder
        if binaries is None or folder is None:
            raise ServersUnavailable("the private Postgres is not started")
        base = folder.path
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": str(base),
            "max_connections": "200",
            "log_line_prefix": "%m ",
            "timezone": "UTC",
            # In the folder, not in /dev/shm, where a killed server would leave it for ever
            "dynamic_shared_memory_type": "mmap",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server = Process(
            [str(binaries / "postgres"), "-D", str(base / "data"), *options],
            folder=folder,
            log=base / "server.log",
            environment=_environment(base),
            user=_unprivileged_user(),
            last_resort=signal.SIGQUIT,  # killed outright it would leave its children and a shared memory segment
        )
        self._server.wait_until(lambda: speaks_postgres("127.0.0.1", self._port), "Postgres", START_TIMEOUT_S)

    def restart(self) -> None:
        """Stop the server in order and start it again with its data."""
        if self._server is not None:
            self._server.end(signal.SIGINT, 20.0)
        deadline = time.monotonic() + CHILDREN_S
        while True:
            try:
                self._start_server()
            except ServersUnavailable as exc:
                if _STILL_THERE not in str(exc) or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def kill(self) -> None:
        """Take the server away without warning; ``restart`` recovers it."""
        if self._server is not None:
            self._server.end(signal.SIGKILL, 5.0)

    def stop(self) -> None:
        """End the server and remove everything it had."""
        if self._server is not None:
            self._server.end(self._server.last_resort, 10.0)  # initdb would tidy up for seconds
            self._server = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root: return a user to run it as then."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServersUnavailable("Postgres does not run as root, and there is neither a user 'postgres' nor 'nobody'")


def _environment(base: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(base), "LANG": "C.UTF-8", "TZ": "UTC"}
