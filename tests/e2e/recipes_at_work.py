"""Runs in the copy of the project that ``test_recipes`` changed: a worker on real servers and a stub of e-conomic.

Prints what it saw as one JSON object; the test outside decides. Addresses come as arguments.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import aiohttp
from aiohttp import web
from e2e_kit import SMALL
from harness import WORKSPACE, Harness, harness

import worker
from worker.sandbox import Sandbox
from worker.store.migrate import migrate

SUPPLIERS: list[dict[str, Any]] = [
    {"supplierNumber": 1, "name": "Papir A/S", "email": "salg@papir.test", "city": "Odense", "barred": False},
    {"supplierNumber": 2, "name": "Blæk  ApS", "corporateIdentificationNumber": "12345678", "barred": True},
]
REFUSAL = {
    "errorCode": "E00500",
    "developerHint": "Inspect errors",
    "logId": "log-1",
    "errors": {"department": {"errors": [{"errorCode": "E09990", "propertyName": "department", "inputValue": 7}]}},
}


async def main(amqp_url: str, database_url: str) -> None:
    assert Path(worker.__file__).parent.parent == Path.cwd(), "the installed project runs instead of the copy"
    await migrate(database_url)
    async with Sandbox(seed=1, size=SMALL) as sandbox:
        runner, stub_url = await stub(sandbox.legacy_url)
        try:
            async with harness(amqp_url, database_url, sandbox, legacy_url=stub_url) as running:
                await running.connect()
                seen = await walk(running)
        finally:
            await runner.cleanup()
    print(json.dumps(seen, default=str))


async def stub(upstream: str) -> tuple[web.AppRunner, str]:
    """Serve suppliers, refuse one of them, and send everything else to the local e-conomic."""

    async def suppliers(_request: web.Request) -> web.Response:
        pagination = {"skipPages": 0, "pageSize": 1000, "maxPageSizeAllowed": 1000, "results": len(SUPPLIERS)}
        return web.json_response({"collection": SUPPLIERS, "pagination": pagination, "self": "x"})

    async def supplier(request: web.Request) -> web.Response:
        if request.match_info["number"] == "9":
            return web.json_response(REFUSAL, status=400)
        return web.json_response(next(s for s in SUPPLIERS if str(s["supplierNumber"]) == request.match_info["number"]))

    async def forward(request: web.Request) -> web.Response:
        kept = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        address = aiohttp.client.URL(upstream + request.raw_path, encoded=True)
        async with aiohttp.request(request.method, address, data=await request.read(), headers=kept) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers={"Content-Type": answer.headers["Content-Type"]}
            )

    app = web.Application()
    app.router.add_get("/suppliers", suppliers)
    app.router.add_get("/suppliers/{number}", supplier)
    app.router.add_route("*", "/{tail:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def walk(running: Harness) -> dict[str, Any]:
    """Import suppliers twice, refresh one, be refused one, lose one; then ask the new question."""
    seen: dict[str, Any] = {}

    async def imported(**more: Any) -> Any:
        answer = await running.request(
            "pike.import.requested", {"entities": ["suppliers"], **more},
            "economic.import.completed", "economic.import.failed", "economic.import.previewed",
        )  # fmt: skip
        return answer.data.model_dump(mode="json")

    seen["preview"] = await imported(dry_run=True)
    seen["first"] = await imported()
    seen["changes"] = await imported(mode="changes")
    seen["rows"] = await running.rows(
        "select external_number, name, email, vat_number, active, locked from pike.suppliers order by 1"
    )
    SUPPLIERS[0]["city"] = "Aarhus"
    refreshed = await running.refresh("supplier", external_number="1")
    seen["refresh"] = refreshed.data.model_dump(mode="json")
    seen["refused"] = (await running.refresh("supplier", external_number="9")).data.model_dump(mode="json")
    del SUPPLIERS[1]
    seen["gone"] = await imported()
    seen["status"] = await running.rows(
        "select entity, records, linked from pike_reporting.sync_status where entity = 'supplier'"
    )
    seen["tags"] = await running.value("select count(*) from pike_reporting.economic_tags where entity = 'supplier'")
    try:
        await running.rows("update pike.suppliers set name = 'mine' where external_number = '1' returning id")
    except Exception as exc:  # what Pike's services would see
        seen["lock"] = str(exc)
    seen["checked"] = (
        await running.request("pike.connection.check_requested", {}, "economic.connection.checked", workspace=WORKSPACE)
    ).data.model_dump(mode="json")
    seen["agreement"] = running.agreement.number
    return seen


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
