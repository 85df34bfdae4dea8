"""RabbitMQ and Postgres for demo, tests and benchmarks, without ceremony: given, in containers, or private nodes."""

from worker.servers.postgres import PrivatePostgres
from worker.servers.process import ServersUnavailable
from worker.servers.provide import Servers, provide
from worker.servers.rabbitmq import PrivateRabbitMQ

__all__ = ["PrivatePostgres", "PrivateRabbitMQ", "Servers", "ServersUnavailable", "provide"]
