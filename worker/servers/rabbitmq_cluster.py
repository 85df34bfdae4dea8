"""Three private RabbitMQ nodes that form one cluster on this machine, for tests that take one of them away."""

import json
from concurrent.futures import ThreadPoolExecutor

from worker.servers.process import ServersUnavailable
from worker.servers.rabbitmq import PrivateRabbitMQ

SIZE = 3


class PrivateCluster:
    """The first node starts alone, the others join it. A queue declared after ``start`` has a member on each."""

    def __init__(self, size: int = SIZE) -> None:
        first = PrivateRabbitMQ()
        self.nodes = [first, *(PrivateRabbitMQ(joins=first) for _ in range(size - 1))]

    @property
    def amqp_url(self) -> str:
        """Addresses of all nodes, as ``AMQP_URL`` takes them."""
        return ",".join(node.amqp_url for node in self.nodes)

    def start(self) -> None:
        """Start all nodes and see that they have found each other. Raises ``ServersUnavailable``."""
        first, *others = self.nodes
        first.start()
        with ThreadPoolExecutor(len(others)) as pool:
            list(pool.map(PrivateRabbitMQ.start, others))
        status = json.loads(first.rabbitmqctl("cluster_status", "--formatter", "json"))
        missing = {node.name for node in self.nodes} - set(status["running_nodes"])
        if missing:
            raise ServersUnavailable(f"the private RabbitMQ nodes did not form a cluster: {', '.join(missing)} missing")

    def leader_of(self, queue: str, asked: PrivateRabbitMQ) -> PrivateRabbitMQ:
        """Return the node that leads a quorum queue, as a running node sees it. Raises ``LookupError``."""
        rows = json.loads(asked.rabbitmqctl("list_queues", "name", "leader", "--formatter", "json"))
        leader = next((row["leader"] for row in rows if row["name"] == queue), None)
        for node in self.nodes:
            if node.name == leader:
                return node
        raise LookupError(f"nobody leads {queue}: {leader!r}")

    def stop(self) -> None:
        """End every node; the first keeps the others' port mapper and goes last."""
        for node in reversed(self.nodes):
            node.stop()
