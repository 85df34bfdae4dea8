"""As much of a Docker engine as testcontainers asks for. Its containers are listeners that give one fixed answer."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWERS = {"rabbitmq": b"\x01\x00\x00", "postgres": b"R\x00\x00\x00\x08", "ryuk": b"ACK\n"}
LOGS = {"ryuk": b"Started!\n", "rabbitmq": b"booting\nno room\n", "postgres": b"initdb\n"}


class Container:
    """One that was made. ``answer`` is what it says to whoever connects; one that ``fails`` ends then."""

    def __init__(self, image: str, asked: dict[str, Any]) -> None:
        self.kind = next(kind for kind in ANSWERS if kind in image)
        self.image = image
        self.environment: list[str] = asked.get("Env") or []
        self.answer = ANSWERS[self.kind]
        self.status = "created"
        self.fails = False
        self.inner = next(iter(asked.get("ExposedPorts") or {"0/tcp": {}}))
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        """The port it was mapped to."""
        return int(self._listener.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(100)
                if self.fails:
                    self.status = "exited"
                else:
                    connection.sendall(self.answer)

    def remove(self) -> None:
        """End it."""
        self.status = "removed"
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def listed(self, name: str) -> dict[str, Any]:
        """What ``docker ps`` says."""
        port = {"PrivatePort": int(self.inner.partition("/")[0]), "PublicPort": self.port, "Type": "tcp"}
        return {"Id": name, "Names": [f"/{name}"], "Image": self.image, "State": self.status, "Ports": [port]}

    def inspect(self, name: str) -> dict[str, Any]:
        """What ``docker inspect`` says."""
        ports = {self.inner: [{"HostIp": "0.0.0.0", "HostPort": str(self.port)}]}
        state = {"Status": self.status, "Running": self.status == "running", "ExitCode": 0}
        return {
            "Id": name,
            "Name": f"/{name}",
            "Image": self.image,
            "State": state,
            "Config": {"Image": self.image, "Tty": False, "Labels": {}},
            "HostConfig": {"LogConfig": {"Type": "json-file"}},
            "NetworkSettings": {"Ports": ports, "Networks": {}},
        }


class Engine:
    """What it was asked for, and how it is to behave."""

    def __init__(self) -> None:
        self.containers: list[Container] = []
        self.url = ""
        self.without: set[str] = set()
        """Images it cannot get."""
        self.failing: set[str] = set()
        """Images whose server ends while it starts."""

    def of(self, kind: str) -> list[Container]:
        """Containers of one kind."""
        return [container for container in self.containers if container.kind == kind]


@contextmanager
def engine() -> Iterator[Engine]:
    """Run an engine on loopback."""
    made = Engine()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"tcp://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for container in made.containers:
            if container.status != "removed":
                container.remove()


def _handler(engine: Engine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._route("GET")

        def do_POST(self) -> None:
            self._route("POST")

        def do_DELETE(self) -> None:
            self._route("DELETE")

        def _route(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = re.sub(r"^/v1\.\d+", "", self.path.partition("?")[0])
            found = re.fullmatch(r"/containers/c(\d+)(/\w+)?", path)
            if path == "/version":
                self._answer(200, {"ApiVersion": "1.45", "Version": "27.1.0"})
            elif path == "/containers/create":
                self._create(json.loads(body))
            elif path == "/containers/json":
                wanted = re.findall(r"%22c(\d+)%22", self.path)
                self._answer(200, [engine.containers[int(number)].listed(f"c{number}") for number in wanted])
            elif found:
                self._container(method, found[2] or "", engine.containers[int(found[1])], f"c{found[1]}")
            elif path.startswith("/images/") and method == "GET":
                there = not any(image in path for image in engine.without)
                self._answer(200 if there else 404, {"Id": path, "RepoTags": [], "message": "No such image"})
            elif path == "/images/create":
                self._answer(500, {"message": "no way to the registry"})
            else:
                self._answer(404, {"message": f"the engine of these tests does not know {method} {path}"})

        def _create(self, asked: dict[str, Any]) -> None:
            if any(image in asked["Image"] for image in engine.without):
                self._answer(404, {"message": f"No such image: {asked['Image']}"})
                return
            engine.containers.append(Container(asked["Image"], asked))
            self._answer(201, {"Id": f"c{len(engine.containers) - 1}", "Warnings": []})

        def _container(self, method: str, action: str, container: Container, name: str) -> None:
            if method == "DELETE":
                container.remove()
                self._answer(204)
            elif action == "/start":
                container.fails = container.kind in engine.failing
                container.status = "running"
                self._answer(204)
            elif action == "/logs":
                text = LOGS[container.kind]
                head = b"\x01\x00\x00\x00" + len(text).to_bytes(4, "big")  # docker's own framing of the two streams
                self._answer(200, head + text if "stdout=1" in self.path else b"")
            else:
                self._answer(200, container.inspect(name))

        def _answer(self, status: int, body: object = None) -> None:
            raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
