"""A tiny e-conomic that answers every GET with one customer of 2 kB, so that the benchmark measures its callers.

Plain asyncio protocol: an HTTP framework here would cost more than some of the subjects it serves. Run as
``python -m tests.benchmarks.events.api_stub PORT LATENCY_MS``.
"""

import asyncio
import json
import re
import sys
from functools import cache

from worker.loop import run

_NUMBER = re.compile(rb"GET \S*/customers/(\d+)[ /?]")
_SIZE = 2048


@cache
def customer(number: int) -> bytes:
    """Return one customer in the shape of restdocs.e-conomic.com, filled up to 2 kB."""
    record = {
        "customerNumber": number,
        "currency": "DKK",
        "paymentTerms": {"paymentTermsNumber": 1},
        "customerGroup": {"customerGroupNumber": 1},
        "vatZone": {"vatZoneNumber": 1},
        "name": f"Customer {number} ApS",
        "address": "Nygade 1",
        "zip": "8000",
        "city": "Aarhus",
        "country": "Danmark",
        "email": f"post{number}@example.dk",
        "corporateIdentificationNumber": f"{10000000 + number}",
        "balance": 0.0,
        "dueAmount": 0.0,
        "lastUpdated": "2026-11-01T12:00:00Z",
        "notes": "",
    }
    record["notes"] = "x" * (_SIZE - len(json.dumps(record)))
    return json.dumps(record).encode()


class _Api(asyncio.Protocol):
    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head, self._seen = self._seen[:end], self._seen[end + 4 :]
            match = _NUMBER.match(head)
            body = customer(int(match[1]) if match else 1)
            answer = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            if self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        self._transport.write(answer)  # type: ignore[attr-defined]


async def serve(port: int, latency_s: float) -> None:
    """Serve on loopback until ended."""
    server = await asyncio.get_running_loop().create_server(lambda: _Api(latency_s), "127.0.0.1", port)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
