"""A private RabbitMQ node from the installed package: own ports, own epmd, own folders, nothing but loopback."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from worker.servers.probes import listens, speaks_amqp
from worker.servers.process import Folder, Process, ServersUnavailable, free_port

START_TIMEOUT_S = 90.0
UNBOUND = "u"
"""Erlang's word for threads that may run on any processor. RabbitMQ ties each to one by default, which suits a machine
of its own; ours it shares with everything else, and a tied thread waits while another processor is idle."""
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CTL = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")


class PrivateRabbitMQ:
    """One node. ``start`` returns when it speaks AMQP; data survives ``restart`` and ``kill`` until ``stop``.

    With ``joins``, a node that has been started, it becomes a member of that node's cluster.
    """

    def __init__(self, joins: "PrivateRabbitMQ | None" = None) -> None:
        self._folder: Folder | None = None
        self._epmd: Process | None = None
        self._node: Process | None = None
        self._port = free_port()
        self._dist_port = free_port()
        self._joins = joins
        self._epmd_port: int = joins._epmd_port if joins else free_port()
        self._cookie: str = joins._cookie if joins else secrets.token_hex(16)
        self.name = f"pike{self._port}@localhost"

    @staticmethod
    def installed() -> bool:
        """Return whether the package is there."""
        return _SERVER.exists() and shutil.which("epmd") is not None

    @property
    def amqp_url(self) -> str:
        """Address of the default vhost."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    @property
    def pid(self) -> int:
        """Process id of the node's group."""
        if self._node is None:
            raise ServersUnavailable("the private RabbitMQ is not started")
        return self._node.pid

    def start(self) -> None:
        """Start the node. Raises ``ServersUnavailable`` with the end of its log."""
        self._folder = Folder("pike-mq")
        base = self._folder.path
        (base / "plugins").write_text("[].\n")
        (base / "node.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\n"
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.relative = 0.4\nlog.console = false\n"
            + self._membership()
        )
        cookie = base / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        if self._joins is None:
            self._start_epmd(self._folder)
        self._start_node()

    def _membership(self) -> str:
        if self._joins is None:
            return ""
        names = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate((self._joins.name, self.name), 1)
        )
        return f"cluster_formation.peer_discovery_backend = classic_config\n{names}"

    def _start_epmd(self, folder: Folder) -> None:
        self._epmd = Process(
            [shutil.which("epmd") or "epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            folder=folder,
            log=folder.path / "epmd.log",
            environment=self._environment(),
        )
        self._epmd.wait_until(lambda: listens("127.0.0.1", self._epmd_port), "epmd", 10.0)

    def _start_node(self) -> None:
        folder = self._need_folder()
        self._node = Process(
            [str(_SERVER)], folder=folder, log=folder.path / "node.log", environment=self._environment()
        )
        self._node.wait_until(lambda: speaks_amqp("127.0.0.1", self._port), "RabbitMQ", START_TIMEOUT_S)

    def restart(self) -> None:
        """Stop the node in order and start it again with its data."""
        if self._node is not None:
            self._node.end(signal.SIGTERM, 30.0)
        self._start_node()

    def kill(self) -> None:
        """Take the node away without warning; ``restart`` brings it back with its data."""
        if self._node is not None:
            self._node.end(signal.SIGKILL, 5.0)

    def stop(self) -> None:
        """End the node and remove everything it had."""
        for process in (self._node, self._epmd):
            if process is not None:
                process.end(signal.SIGKILL, 5.0)
        self._node = self._epmd = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` against this node and return what it printed; it takes a second or two."""
        result = subprocess.run(
            [str(_CTL), "-q", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if result.returncode != 0:
            raise ServersUnavailable(f"rabbitmqctl {arguments[0]} failed: {result.stderr.strip()[-500:]}")
        return result.stdout

    def _environment(self) -> dict[str, str]:
        base = str(self._need_folder().path)
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": base,
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{base}/data",
            "RABBITMQ_LOG_BASE": f"{base}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{base}/node.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{base}/none",
            "RABBITMQ_PID_FILE": f"{base}/node.pid",
            "RABBITMQ_SCHEDULER_BIND_TYPE": UNBOUND,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _need_folder(self) -> Folder:
        if self._folder is None:
            raise ServersUnavailable("the private RabbitMQ is not started")
        return self._folder
