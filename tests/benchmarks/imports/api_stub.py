"""A local e-conomic of any size whose pages are made from templates, so that the benchmark measures its callers.

Answers what an import and its peers ask: customers, contacts, products, booked invoices with lines, registers. Counts
calls and their cost (``/bench/stats``). Run as ``python -m tests.benchmarks.imports.api_stub``, sizes by environment.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, unquote, urlsplit

SIZES = {name: int(os.environ.get(f"BENCH_{name.upper()}", "0")) for name in ("customers", "products", "invoices")}
LATENCY_S = float(os.environ.get("BENCH_LATENCY_MS", "0")) / 1000
PAGE = 1000
LINES = 3
CONTACTS_PER_FIVE = 3
_NUMBER = re.compile(r"\$(gte?|lte?):(\d+)")
stats = {"calls": 0, "tokens": 0}
here = {"address": ""}

_CUSTOMER = b"""{"customerNumber":%d,"currency":"DKK","paymentTerms":{"paymentTermsNumber":1,"self":"http://api/payment-terms/1"},
"customerGroup":{"customerGroupNumber":1,"self":"http://api/customer-groups/1"},"address":"Nygade %d","balance":0.00,"dueAmount":0.00,
"corporateIdentificationNumber":"%08d","city":"Aarhus","country":"Danmark","email":"post%d@example.dk","name":"Kunde %d ApS","zip":"8000",
"telephoneAndFaxNumber":"87654321","vatZone":{"vatZoneNumber":1,"self":"http://api/vat-zones/1"},"lastUpdated":"2026-11-01T12:00:00Z",
"contacts":"http://api/customers/%d/contacts","templates":{"invoice":"http://api/customers/%d/templates/invoice"},"self":"http://api/customers/%d"}"""
_CONTACT = b"""{"customerNumber":%d,"number":%d,"userInterfaceNumber":1,"name":"Anna Jensen %d","email":"anna%d@example.dk",
"phone":"12345678","isDeleted":false,"lastUpdated":"2026-11-01T12:00:00Z","objectVersion":"1"}"""
_PRODUCT = b"""{"productNumber":"%d","name":"Vare %d","description":"Beskrivelse af vare %d","salesPrice":%d.50,"barred":false,
"unit":{"unitNumber":1,"name":"stk."},"productGroup":{"productGroupNumber":1,"name":"Varer"},"lastUpdated":"2026-11-01T12:00:00Z"}"""
_BOOKED = b"""{"bookedInvoiceNumber":%d,"date":"2026-%02d-10","currency":"DKK","exchangeRate":100,"netAmount":300.00,
"netAmountInBaseCurrency":300.00,"grossAmount":375.00,"grossAmountInBaseCurrency":375.00,"vatAmount":75.00,"roundingAmount":0.00,
"remainder":0.00,"remainderInBaseCurrency":0.00,"dueDate":"2026-12-01","paymentTerms":{"paymentTermsNumber":1,"daysOfCredit":14},
"customer":{"customerNumber":%d},"recipient":{"name":"Kunde %d ApS","address":"Nygade 1","zip":"8000","city":"Aarhus","country":"Danmark",
"vatZone":{"vatZoneNumber":1}},"layout":{"layoutNumber":21},"pdf":{"download":"http://api/invoices/booked/%d/pdf"},"self":"http://api/invoices/booked/%d"}"""
_LINE = b"""{"documentId":%d,"number":%d,"userInterfaceNumber":%d,"productNumber":"%d","description":"Vare %d","quantity":2.00,
"unitNetPrice":50.00,"discountPercentage":0.00,"totalNetAmount":100.00,"unitNumber":1,"bookedAccount":1010,"vatRate":25.00,"vatAmount":25.00}"""


def customer(number: int) -> bytes:
    """One customer."""
    return _CUSTOMER % ((number,) * 2 + (10000000 + number,) + (number,) * 5)


def contact(number: int) -> bytes:
    """The contact of a customer."""
    return _CONTACT % ((number,) * 4)


def product(number: int) -> bytes:
    """One product."""
    return _PRODUCT % ((number,) * 4)


def booked(number: int) -> bytes:
    """The header of one booked invoice."""
    owner = 1 + number % max(SIZES["customers"], 1)
    return _BOOKED % (number, 1 + number % 12, owner, owner, number, number)


def lines(number: int) -> list[bytes]:
    """Its lines."""
    return [
        _LINE % (number, number * LINES + n, n, 1 + (number + n) % max(SIZES["products"], 1), number + n)
        for n in range(1, LINES + 1)
    ]


def legacy(records: Iterable[bytes], skip: int, size: int, total: int, path: str = "") -> bytes:
    """A page of the legacy service."""
    address = f"{here['address']}{path}?skippages={skip + 1}&pagesize={size}".encode()
    more = b',"nextPage":"%s"' % address if (skip + 1) * size < total else b""
    head = b'{"pagination":{"maxPageSizeAllowed":1000,"skipPages":%d,"pageSize":%d,"results":%d,"resultsWithoutFilter":%d%s},"collection":['
    return head % (skip, size, total, total, more) + b",".join(records) + b"]}"


def by_offset(make: Callable[[int], bytes], total: int, query: dict[str, str], path: str) -> bytes:
    """A list by pages."""
    if "filter" in query:
        total = 0
    size, skip = int(query.get("pagesize", "20")), int(query.get("skippages", "0"))
    return legacy((make(n) for n in range(skip * size + 1, min((skip + 1) * size, total) + 1)), skip, size, total, path)


def booked_list(query: dict[str, str]) -> bytes:
    """Booked invoices above a number."""
    bounds = _NUMBER.findall(query.get("filter", ""))
    after = int(bounds[0][1]) if bounds else 0
    size, skip = int(query.get("pagesize", "20")), int(query.get("skippages", "0"))
    first = after + skip * size + 1
    numbers = range(first, min(first + size, SIZES["invoices"] + 1))
    return legacy((booked(n) for n in numbers), skip, size, max(SIZES["invoices"] - after, 0), "/invoices/booked")


def by_cursor(items: Callable[[int], list[bytes]], last: int, query: dict[str, str]) -> bytes:
    """An OpenAPI list of what belongs to numbered documents, a thousand a page; the cursor is ``number``."""
    bounds = dict(_NUMBER.findall(query.get("filter", "")))
    number = int(query.get("cursor") or bounds.get("gte") or 1)
    upto = min(int(bounds.get("lte") or last), last)
    if "lastUpdated" in query.get("filter", ""):
        upto = 0
    found: list[bytes] = []
    while number <= upto and len(found) <= PAGE - LINES:
        found += items(number)
        number += 1
    cursor = b',"cursor":"%d"' % number if number <= upto else b""
    return b'{"items":[' + b",".join(found) + b"]" + cursor + b"}"


def contacts_of(number: int) -> list[bytes]:
    """Three of five customers have a contact."""
    return [contact(number)] if number % 5 < CONTACTS_PER_FIVE else []


def register(*records: dict[str, object]) -> bytes:
    """A small register."""
    return json.dumps(
        {"collection": records, "pagination": {"skipPages": 0, "pageSize": 1000, "results": len(records)}}
    ).encode()


VAT = {"vatCode": "U25", "self": "http://api/vat-accounts/U25"}
ZONE = {"vatZoneNumber": 1}
ROUTES: dict[str, Callable[[dict[str, str]], bytes]] = {
    "/customers": lambda query: by_offset(customer, SIZES["customers"], query, "/customers"),
    "/products": lambda query: by_offset(product, SIZES["products"], query, "/products"),
    "/invoices/drafts": lambda query: legacy((), 0, int(query.get("pagesize", "20")), 0),
    "/invoices/unpaid": lambda query: legacy((), 0, int(query.get("pagesize", "20")), 0),
    "/invoices/booked": booked_list,
    "/invoices/totals/booked": lambda _: b'{"invoiceCount":%d,"netAmountInBaseCurrency":%d.00}' % (SIZES["invoices"], 300 * SIZES["invoices"]),
    "/units": lambda _: register({"unitNumber": 1, "name": "stk."}),
    "/product-groups": lambda _: register({"productGroupNumber": 1, "name": "Varer"}),
    "/product-groups/1/sales-accounts": lambda _: register({"vatZone": ZONE, "salesAccount": {"accountNumber": 1010, "vatAccount": VAT}}),
    "/vat-accounts": lambda _: register({"vatCode": "U25", "ratePercentage": 25.0, "name": "Salgsmoms"}),
    "/self": lambda _: b'{"agreementNumber":1000000,"company":{"name":"Bench"},"settings":{"baseCurrency":"DKK"}}',
    "/bench/stats": lambda _: json.dumps(stats).encode(),
}  # fmt: skip
COST = {"lines": 3, "Contacts": 3}


def answer(target: str) -> tuple[int, bytes, int]:
    """Return status, body and cost of a GET."""
    parts = urlsplit(target)
    target_path = re.sub("/+", "/", parts.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    path = unquote(target_path)
    if path.endswith("/Contacts"):
        return 200, by_cursor(contacts_of, SIZES["customers"], query), 3
    if path.endswith("/invoices/booked/lines"):
        return 200, by_cursor(lines, SIZES["invoices"], query), 3
    if (single := re.fullmatch(r"/invoices/booked/(\d+)", path)) is not None:
        number = int(single[1])
        legacy_lines = b",".join(
            b'{"lineNumber":%d,"product":{"productNumber":"1"},"quantity":2.00,"unitNetPrice":50.00,"totalNetAmount":100.00,'
            b'"vatRate":25.00,"vatAmount":25.00}' % n
            for n in range(1, LINES + 1)
        )
        return 200, booked(number)[:-1] + b',"lines":[' + legacy_lines + b"]}", 1
    if (one := re.fullmatch(r"/products/(\d+)", path)) is not None:
        return 200, product(int(one[1])), 1
    make = ROUTES.get(path)
    return (
        (200, make(query), 3)
        if make
        else (404, b'{"message":"not found","errorCode":"E06000","httpStatusCode":404}', 1)
    )


class _Api(asyncio.Protocol):
    def __init__(self) -> None:
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head, self._seen = self._seen[:end], self._seen[end + 4 :]
            target = head.split(b" ", 2)[1].decode()
            status, body, cost = answer(target)
            if not target.startswith("/bench/"):
                stats["calls"] += 1
                stats["tokens"] += cost
            reply = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nX-CallCost: %d\r\nContent-Length: %d\r\n\r\n" % (
                status, cost, len(body),
            )  # fmt: skip
            if LATENCY_S:
                asyncio.get_running_loop().call_later(LATENCY_S, self._write, reply + body)
            else:
                self._write(reply + body)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)  # type: ignore[attr-defined]


async def serve(port: int) -> None:
    """Serve on loopback until ended."""
    server = await asyncio.get_running_loop().create_server(_Api, "127.0.0.1", port)
    bound = server.sockets[0].getsockname()[1]
    here["address"] = f"http://127.0.0.1:{bound}"
    print(f"ready {bound}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
