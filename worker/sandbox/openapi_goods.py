"""The products service: products, product groups and their zones. Source: its OpenAPI 2.0.0 (2026)."""

from dataclasses import dataclass
from typing import Any

from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Route, Router, route
from worker.sandbox.filters import COMPARE, LISTS, Field, Fields
from worker.sandbox.jsontext import dumps
from worker.sandbox.links import present
from worker.sandbox.lookups import ProductGroup
from worker.sandbox.openapi_hooks import hook_routes
from worker.sandbox.openapi_lists import Cursored, list_routes, object_version, plain
from worker.sandbox.openapi_parties import flat_body, need_version, party_routes, refuse
from worker.sandbox.openapi_sales import sales_routes
from worker.sandbox.records import ZERO, Product
from worker.sandbox.shapes import Flag, Number, Obj, Text, Whole

PRODUCTS_API = "productsapi/v2.0.0"
_ANY = COMPARE | LISTS

PRODUCTS: Fields = {
    "productNumber": Field("number", "text", COMPARE | {"like"}),
    "productGroupId": Field("group", "number", COMPARE),
    "name": Field("name", "text", COMPARE | {"like"}),
    "isAccessible": Field("accessible", "flag", frozenset({"eq", "ne"}), sortable=False),
    "lastUpdated": Field("last_updated", "time", COMPARE),
}
GROUPS: Fields = {"id": Field("number", "number", _ANY), "name": Field("name", "text")}
ZONES: Fields = {"id": Field("id", "number", _ANY), "accountId": Field("account", "number", _ANY)}
_PRODUCT = Obj(
    {
        "productNumber": Text(25, 1),
        "productGroupId": Whole(),
        "name": Text(300, 1),
        "description": Text(500),
        "barCode": Text(50),
        "salesPrice": Number(),
        "costPrice": Number(),
        "recommendedPrice": Number(),
        "unitId": Whole(),
        "isAccessible": Flag(),
        "objectVersion": Text(100),
    },
    required=("productNumber", "productGroupId", "name", "isAccessible"),
)


@dataclass(frozen=True, slots=True)
class Zone:
    """One row of a product group: the sales account in a VAT zone."""

    id: int
    account: int


def product_open(row: Product) -> dict[str, Any]:
    """Return a product as this service shows it."""
    return present(
        {
            "productNumber": row.number,
            "productGroupId": row.group,
            "name": row.name,
            "description": row.description,
            "barCode": row.bar_code,
            "salesPrice": plain(row.sales_price),
            "costPrice": plain(row.cost_price),
            "recommendedPrice": plain(row.recommended_price),
            "unitId": row.unit,
            "isAccessible": not row.barred,
            "lastUpdated": row.last_updated.strftime("%Y-%m-%dT%H:%M:00Z"),
            "objectVersion": object_version("product", row.number, row.version),
        }
    )


def _products(call: Call) -> Cursored[Product]:
    products = call.agreement.products
    return Cursored(
        products,
        "open",
        lambda: [products[number] for number in sorted(products.rows)],
        lambda row: (row.number,),
        PRODUCTS,
        product_open,
        lambda row: row.number,
    )


def _get_product(call: Call) -> Answer:
    product = call.agreement.products.get(call.keys[0])
    if product is None:
        raise not_found()
    return Answer(200, dumps(product_open(product)))


def _product_from(call: Call, doc: dict[str, Any]) -> Product:
    agreement = call.agreement
    if doc["productGroupId"] not in agreement.product_groups:
        raise refuse("ProductGroupDoesNotExist", "Product group does not exist.", "productGroupId")
    return Product(
        doc["productNumber"],
        doc["name"],
        doc["productGroupId"],
        agreement.now(),
        description=doc.get("description"),
        sales_price=doc.get("salesPrice", ZERO),
        cost_price=doc.get("costPrice", ZERO),
        recommended_price=doc.get("recommendedPrice", ZERO),
        bar_code=doc.get("barCode"),
        barred=not doc["isAccessible"],
        unit=doc.get("unitId"),
    )


def _post_product(call: Call) -> Answer:
    doc = flat_body(call, _PRODUCT)
    if doc["productNumber"] in call.agreement.products:
        raise refuse("ProductNumberAlreadyExists", "The product number already exists.", "productNumber")
    product = call.agreement.put_product(_product_from(call, doc))
    return Answer(201, dumps({"productNumber": product.number}))


def _put_product(call: Call) -> Answer:
    doc = flat_body(call, _PRODUCT)
    known = call.agreement.products.get(call.keys[0])
    if known is None:
        raise not_found()
    if doc["productNumber"] != known.number:
        text = "Changing product numbers is not enabled."
        raise refuse("ProductNumberChangeSettingNotEnabled", text, "productNumber")
    need_version(doc, object_version("product", known.number, known.version))
    call.agreement.put_product(_product_from(call, doc))
    return Answer(204)


def _group_open(row: ProductGroup) -> dict[str, Any]:
    return {
        "id": row.number,
        "name": row.name,
        "domesticAccountId": row.accounts[1],
        "objectVersion": object_version("group", row.number, 1),
    }


def _groups(call: Call) -> Cursored[ProductGroup]:
    groups = call.agreement.product_groups
    return Cursored(
        groups,
        "open",
        lambda: [groups[number] for number in sorted(groups.rows)],
        lambda row: (row.number,),
        GROUPS,
        _group_open,
    )


def _get_group(call: Call) -> Answer:
    group = call.agreement.product_groups.get(call.number())
    if group is None:
        raise not_found()
    return Answer(200, dumps(_group_open(group)))


def _zones(call: Call) -> Cursored[Zone]:
    groups, number = call.agreement.product_groups, call.number()

    def rows() -> list[Zone]:
        group = groups.get(number)  # a parent that does not exist has an empty list (seen live)
        return [Zone(zone, account) for zone, account in sorted(group.accounts.items())] if group else []

    def render(row: Zone) -> dict[str, Any]:
        version = object_version("zone", f"{number}/{row.id}", 1)
        return {"id": row.id, "accountId": row.account, "objectVersion": version}

    return Cursored(groups, ("zones", number), rows, lambda row: (row.id,), ZONES, render)


def goods_routes() -> list[Route]:
    """Return the routes of the products service."""
    at = PRODUCTS_API
    return [
        *list_routes(f"{at}/products", _products, "products", paged=f"{at}/productspaged/paged", count=False),
        route("GET", f"{at}/products/*", _get_product, "products"),
        route("POST", f"{at}/products", _post_product, "products"),
        route("PUT", f"{at}/products/*", _put_product, "products"),
        *list_routes(f"{at}/productgroups", _groups, "products"),
        route("GET", f"{at}/productgroups/*", _get_group, "products"),
        *list_routes(f"{at}/productgroups/*/zones", _zones, "products"),
    ]


def openapi_router() -> Router:
    """Return the router of all OpenAPI services; their paths ignore case."""
    return Router([*goods_routes(), *party_routes(), *sales_routes(), *hook_routes()], fold=True)
