"""Writing products through legacy REST.

POST creates, PUT replaces the whole record (what is omitted is cleared) and creates when the key is free.
"""

from typing import Any

from worker.sandbox import write_shapes
from worker.sandbox.agreement import Agreement
from worker.sandbox.answers import Answer, ApiError, not_found
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.jsontext import dumps
from worker.sandbox.keys import encode_key
from worker.sandbox.legacy_lists import links_of
from worker.sandbox.legacy_writes import created, need, read_body
from worker.sandbox.links import Links
from worker.sandbox.messages import say
from worker.sandbox.records import ZERO, Product
from worker.sandbox.rendering import product_doc
from worker.sandbox.shapes import Problems


def _product_from(agreement: Agreement, doc: dict[str, Any], number: str) -> Product:
    p = Problems()
    need(agreement, agreement.product_groups, doc["productGroup"], ("productGroup",), "ProductGroup", p)
    need(agreement, agreement.units, doc.get("unit"), ("unit",), "Unit", p)
    p.raise_if_any()
    return Product(
        number,
        doc["name"],
        doc["productGroup"],
        agreement.now(),
        description=doc.get("description"),
        sales_price=doc.get("salesPrice", ZERO),
        cost_price=doc.get("costPrice", ZERO),
        recommended_price=doc.get("recommendedPrice", ZERO),
        bar_code=doc.get("barCode"),
        barred=doc.get("barred", False),
        unit=doc.get("unit"),
    )


def _product_answer(call: Call, product: Product, status: int) -> Answer:
    links: Links = links_of(call)
    body = dumps(product_doc(call.agreement, product, links, full=True))
    return created(body, links.to(f"products/{encode_key(product.number)}"), status)


def post_product(call: Call) -> Answer:
    """Create a product under the number that the caller chose."""
    agreement, problems = call.agreement, Problems()
    doc = read_body(call, write_shapes.PRODUCT, problems)
    number = doc["productNumber"]
    if number in agreement.products:
        problems.add(("productNumber",), None, say(agreement.language, "number_taken", key=number), number)
        problems.raise_if_any()
    return _product_answer(call, agreement.put_product(_product_from(agreement, doc, number)), 201)


def put_product(call: Call) -> Answer:
    """Replace or create a product."""
    agreement, number = call.agreement, call.keys[0]
    doc = read_body(call, write_shapes.PRODUCT, Problems())
    status = 200 if number in agreement.products else 201
    return _product_answer(call, agreement.put_product(_product_from(agreement, doc, number)), status)


def delete_product(call: Call) -> Answer:
    """Delete a product that no invoice line names."""
    agreement, number = call.agreement, call.keys[0]
    if number not in agreement.products:
        raise not_found("E06000")
    lines = [*agreement.booked_lines(), *agreement.draft_lines()]
    if any(row.line.product == number for row in lines):
        raise ApiError(400, say(agreement.language, "in_use", key=number))
    agreement.remove_product(number)
    return Answer(204)


def product_routes() -> list[Route]:
    """Return the routes that this module serves."""
    return [
        route("POST", "products", post_product, "products"),
        route("PUT", "products/*", put_product, "products"),
        route("DELETE", "products/*", delete_product, "products"),
    ]
