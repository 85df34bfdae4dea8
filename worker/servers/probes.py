"""Whether a server answers in its own protocol: an open port alone says little, a proxy opens it long before."""

import socket
import struct

_CONNECT_TIMEOUT_S = 1.0
_ANSWER_TIMEOUT_S = 2.0
_AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"  # connection.start
_POSTGRES_PROTOCOL = 196608  # 3.0
_POSTGRES_USER = b"user\x00postgres\x00database\x00postgres\x00\x00"
_AUTHENTICATION = b"R"  # while it still starts or recovers, Postgres answers with an error, "E"


def speaks_amqp(host: str, port: int) -> bool:
    """Return whether RabbitMQ offers a connection there."""
    return _first_byte(host, port, _AMQP_GREETING) == _METHOD_FRAME


def speaks_postgres(host: str, port: int) -> bool:
    """Return whether Postgres asks the user ``postgres`` to authenticate there, or lets it in."""
    packet = struct.pack("!ii", 8 + len(_POSTGRES_USER), _POSTGRES_PROTOCOL) + _POSTGRES_USER
    return _first_byte(host, port, packet) == _AUTHENTICATION


def listens(host: str, port: int) -> bool:
    """Return whether anybody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def _first_byte(host: str, port: int, greeting: bytes) -> bytes:
    """Return the first byte of the answer, or nothing when there is none."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S) as probe:
            probe.settimeout(_ANSWER_TIMEOUT_S)
            probe.sendall(greeting)
            return probe.recv(1)
    except OSError:
        return b""
