"""What all legacy writes share: reading a checked body, following references, answering a create."""

from typing import Any

from worker.sandbox.agreement import Agreement
from worker.sandbox.answers import Answer
from worker.sandbox.calls import Call
from worker.sandbox.messages import say
from worker.sandbox.register import Register
from worker.sandbox.shapes import Path, Problems


def read_body(call: Call, shape: Any, problems: Problems) -> dict[str, Any]:
    """Return the request body, checked against a shape. Raises the 400 with everything that is wrong."""
    value: dict[str, Any] | None = shape.read(call.json(), (), problems)
    problems.raise_if_any()
    return value or {}


def need(agreement: Agreement, register: Register[Any, Any], key: Any, path: Path, thing: str, p: Problems) -> Any:
    """Return the referenced record, or note E06000 (payment terms: E07080)."""
    if key is None:
        return None
    row = register.get(key)
    if row is None:
        code = "E07080" if thing == "PaymentTerms" else "E06000"
        name = thing[0].lower() + thing[1:]
        hint = f"Find a list of {name}s in the API."
        p.add(path, code, say(agreement.language, "not_found", thing=thing, key=key), key, hint)
    return row


def created(body: bytes, location: str, status: int = 201) -> Answer:
    """Return the answer to a create or replace; a create says where."""
    return Answer(status, body, headers={"Location": location} if status == 201 else {})
