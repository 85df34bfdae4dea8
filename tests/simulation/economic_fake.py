"""e-conomic in memory: drafts, booked invoices and customers with the rules that at-most-once rests on.

Pure: the time is an argument. A document is found by a filter only after a while; by its number at once. An
idempotency key is remembered for one hour from its first answer; the same key with other bytes is refused.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

KEY_LIFE_S = 3600.0
BARRED = "barred"
"""A product that no invoice may name: the refusal of a whole draft (E06600)."""


@dataclass
class Document:
    """Something that was made, and from when on filters find it."""

    body: dict[str, Any]
    visible_at: float


@dataclass
class Answer:
    """Status, body and headers of an answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Kept:
    """What a key was used for first."""

    at: float
    url: str
    body: bytes
    answer: Answer


class FakeAgreement:
    """One agreement's data and grants. ``lag`` draws how long a new document hides from filters."""

    def __init__(self, number: int, grant: str, lag: Callable[[], float] = lambda: 0.0) -> None:
        self.number = number
        self.grants = {grant}
        self.drafts: dict[int, Document] = {}
        self.booked: dict[int, Document] = {}
        self.customers: dict[int, Document] = {}
        self.keys: dict[str, Kept] = {}
        self.made: list[tuple[str, str]] = []
        """Every creation that took effect: what, and its reference or name."""
        self._lag = lag
        self._next = {"draft": 100, "booked": 5000, "customer": 1000}

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes | None, now: float) -> Answer:
        """Carry out one request, atomically."""
        if headers.get("X-AgreementGrantToken") not in self.grants:
            return _error(401, "E00401", "Access denied.")
        parts = urlsplit(url)
        path = parts.path
        if method == "GET":
            return self._read(path, dict(parse_qsl(parts.query)), now)
        key = headers.get("Idempotency-Key")
        kept = self.keys.get(key) if key else None
        if kept is not None and now - kept.at < KEY_LIFE_S:
            if (kept.url, kept.body) != (url, body):
                return _error(400, "PayloadChanged", "The key was used for another request.")
            return Answer(kept.answer.status, kept.answer.body, {"X-ResultFromCache": "true"})
        answer = self._write(path, json.loads(body or b"{}"), now)
        if key:
            self.keys[key] = Kept(now, url, body or b"", answer)
        return answer

    # --- writing ---------------------------------------------------------------------------------------

    def _write(self, path: str, sent: dict[str, Any], now: float) -> Answer:
        if path == "/invoices/drafts":
            return self._create_draft(sent, now)
        if path == "/invoices/booked":
            return self._book(sent["draftInvoice"]["draftInvoiceNumber"], now)
        if path == "/customers":
            number = self._number("customer")
            return self._keep("customer", sent["name"], self.customers, number, sent | {"customerNumber": number}, now)
        return _error(404, "E00404", "No such resource.")

    def _create_draft(self, sent: dict[str, Any], now: float) -> Answer:
        if any(line.get("product", {}).get("productNumber") == BARRED for line in sent["lines"]):
            error = {"propertyName": "product", "errorCode": "E06600", "errorMessage": "Product is barred."}
            inner = {"lines": {"items": [{"arrayIndex": 0, "product": {"errors": [error]}}]}}
            return _error(400, "E04300", "Validation failed.", errors=inner)
        if sent["customer"]["customerNumber"] not in self.customers:
            return _error(400, "E06000", "Customer not found.")
        number = self._number("draft")
        lines, net = [], 0
        for line in sent["lines"]:
            total = round(line.get("quantity", 0) * line.get("unitNetPrice", 0), 2)
            net += total
            lines.append(line | {"totalNetAmount": total})
        made = sent | {
            "draftInvoiceNumber": number, "netAmount": net, "vatAmount": net / 4, "grossAmount": net * 1.25,
            "lines": lines,
        }  # fmt: skip
        return self._keep("draft", sent["references"]["other"], self.drafts, number, made, now)

    def _book(self, draft_number: int, now: float) -> Answer:
        draft = self.drafts.pop(draft_number, None)
        if draft is None:
            return _error(404, "E06000", "Draft not found.")
        number = self._number("booked")
        body = {key: value for key, value in draft.body.items() if key != "draftInvoiceNumber"}
        made = body | {"bookedInvoiceNumber": number, "remainder": body["grossAmount"]}
        return self._keep("booked", body["references"]["other"], self.booked, number, made, now)

    def _number(self, series: str) -> int:
        self._next[series] += 1
        return self._next[series]

    def _keep(
        self, what: str, name: str, where: dict[int, Document], number: int, body: dict[str, Any], now: float
    ) -> Answer:
        where[number] = Document(body, now + self._lag())
        self.made.append((what, name))
        return Answer(201, json.dumps(body).encode())

    # --- reading ---------------------------------------------------------------------------------------

    def _read(self, path: str, query: dict[str, str], now: float) -> Answer:
        listed = {"/invoices/drafts": self.drafts, "/invoices/booked": self.booked, "/customers": self.customers}
        if path in listed:
            fits = _filter(query.get("filter", ""))
            seen = (each.body for each in listed[path].values() if each.visible_at <= now)
            found = [body for body in seen if fits(body)]
            rows = [{key: value for key, value in body.items() if key != "lines"} for body in found]
            return _list(rows, query)
        above, _, last = path.rpartition("/")
        if above in listed:
            document = listed[above].get(int(last))
            return Answer(200, json.dumps(document.body).encode()) if document else _missing()
        if above == "/products":
            number = unquote(last)
            return Answer(200, json.dumps({
                "productNumber": number, "name": f"Product {number}", "barred": number == BARRED,
                "productGroup": {"productGroupNumber": 1},
            }).encode())  # fmt: skip
        register = _REGISTERS.get(path)
        if register is not None:
            return _list(register, query)
        if path == "/self":
            company = {"name": f"Agreement {self.number}"}
            document = {"agreementNumber": self.number, "company": company, "settings": {"baseCurrency": "DKK"}}
            return Answer(200, json.dumps(document).encode())
        return _missing()


_ZONE = {"vatZoneNumber": 1, "name": "Domestic"}
_REGISTERS: dict[str, list[dict[str, Any]]] = {
    "/product-groups/1/sales-accounts": [
        {"vatZone": _ZONE, "salesAccount": {"accountNumber": 1010, "vatAccount": {"vatCode": "U25"}}}
    ],
    "/vat-accounts": [{"vatCode": "U25", "name": "Sales VAT", "ratePercentage": 25}],
    "/customer-groups": [{"customerGroupNumber": 1, "name": "Domestic"}],
    "/payment-terms": [{"paymentTermsNumber": 1, "name": "Net 8", "paymentTermsType": "net", "daysOfCredit": 8}],
    "/layouts": [{"layoutNumber": 19, "name": "Standard"}],
    "/vat-zones": [_ZONE],
}


def _list(rows: list[dict[str, Any]], query: dict[str, str]) -> Answer:
    size = int(query.get("pagesize", 1000))
    pagination = {"skipPages": int(query.get("skippages", 0)), "pageSize": size, "results": len(rows)}
    return Answer(200, json.dumps({"collection": rows[:size], "pagination": pagination}).encode())


_TERM = re.compile(r"(?P<field>[\w.]+)\$(?P<how>eq|like):(?P<value>.*)", re.DOTALL)


def _filter(expression: str) -> Callable[[dict[str, Any]], bool]:
    """Read ``field$eq:value`` and ``field$like:value``, joined by ``$or:``."""
    if not expression:
        return lambda _body: True
    terms = []
    for term in expression.split("$or:"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise AssertionError(f"the fake does not know this filter: {expression}")
        terms.append((match["field"].split("."), match["how"], re.sub(r"\$(.)", r"\1", match["value"]).casefold()))

    def fits(body: dict[str, Any]) -> bool:
        for path, how, value in terms:
            found: Any = body
            for name in path:
                found = found.get(name) if isinstance(found, dict) else None
            text = str(found or "").casefold()
            if (text == value) if how == "eq" else (value in text):
                return True
        return False

    return fits


def _error(status: int, code: str, message: str, **more: Any) -> Answer:
    body = {"message": message, "errorCode": code, "httpStatusCode": status, "logId": "sim", **more}
    return Answer(status, json.dumps(body).encode())


def _missing() -> Answer:
    return _error(404, "E06000", "Resource not found.")
