"""Every page of a workspace: good in both themes and widths, with ordinary and with hostile content, for every role."""

import json
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from browser_kit import VIEWER_TOKEN, Site, Visitor, assert_page_good
from playwright.async_api import expect
from support import eventually

WS = "ws-test"
AT = f"/console/workspaces/{WS}"
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SQL = "Robert'); drop table pike.products; --"
LONG = "Donaudampfschifffahrtsgesellschaft" * 120
HOSTILE = f"{MARKUP} {SQL} {LONG}"


async def pages(site: Site) -> dict[str, str]:
    """Return each page's name and address, with records that have something to show."""
    found = (
        await site.running.rows(
            """select (select id from pike.products where active order by name limit 1) as product,
                      (select customer_id from pike.invoices where customer_id is not null
                       group by customer_id order by count(*) desc limit 1) as customer,
                      (select id from pike.invoices where booked_number is not null
                       order by gross_amount desc limit 1) as invoice,
                      (select event_id from economic.imports order by started_at desc limit 1) as import"""
        )
    )[0]
    return {
        "workspaces": "/console/workspaces",
        "overview": AT,
        "imports": f"{AT}/imports",
        "import": f"{AT}/imports/{found['import']}",
        "products": f"{AT}/products",
        "product": f"{AT}/products/{found['product']}",
        "customers": f"{AT}/customers",
        "customer": f"{AT}/customers/{found['customer']}",
        "invoices": f"{AT}/invoices",
        "invoice": f"{AT}/invoices/{found['invoice']}",
        "matches": f"{AT}/matches",
        "problems": f"{AT}/problems",
        "reports": f"{AT}/reports",
        "projects": f"{AT}/reports/projects",
        "settings": f"{AT}/settings",
    }


async def as_worker(site: Site, *statements: str) -> None:
    """Run SQL as the worker does: the lock triggers let it pass."""
    connection = await asyncpg.connect(site.running.database_url, server_settings={"pike_economic.writer": "worker"})
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def ambiguous(site: Site) -> None:
    """Let a customer of e-conomic fit two of Pike's."""
    site.running.agreement.change_customer(2, name="Fjord & Sønner ApS", cvr=None, email=None)
    async with site.running.pike() as pike:
        for _ in range(2):
            await pike.execute("insert into pike.customers (workspace_id, name) values ($1, 'Fjord & Sønner ApS')", WS)


@pytest.mark.timeout(420)
async def test_every_page_is_good_with_ordinary_content(site: Site, otto: Visitor) -> None:
    await ambiguous(site)
    await site.running.connect()
    await site.running.import_all()
    async with site.running.pike() as pike:
        await pike.execute("update pike.invoices set project_id = 'Project ' || (draft_number % 3) where locked")
        await pike.execute("update pike.invoices set project_id = 'Havn' where booked_number % 2 = 0")
    for name, where in (await pages(site)).items():
        await otto.open(where)
        await assert_page_good(otto, name)


@pytest.mark.timeout(420)
async def test_hostile_content_is_shown_as_text_and_breaks_no_page(site: Site, otto: Visitor) -> None:
    await ambiguous(site)
    await site.running.connect()
    await site.running.import_all()
    hostile, problem = HOSTILE.replace("'", "''"), hostile_problem()
    await as_worker(
        site,
        f"""update pike.products set name = '{hostile}', description = '{hostile}', unit = '{hostile[:200]}',
                                     sku = '{hostile}', last_problem = '{problem}'""",
        f"""update pike.customers set name = '{hostile}', city = '{hostile}', primary_contact_full_name = '{hostile}',
                                      primary_contact_email = '{hostile}', last_problem = '{problem}'
            where external_number is not null""",
        f"update pike.invoices set title = '{hostile}', project_id = '{hostile[:300]}', last_problem = '{problem}'",
        f"update pike.invoice_lines set description = '{hostile}'",
        f"update pike.tax_rates set name = '{hostile[:100]}'",
        f"update economic.connections set company_name = '{hostile}', problem = '{problem}'",
        f"update economic.imports set requested_by = '{hostile}', problem = '{problem}', state = 'failed'",
        f"""insert into economic.import_rejects (import_id, entity, external_number, reason, raw)
            select id, 'products', '{hostile[:25]}', '{hostile}', '{hostile}' from economic.imports""",
        f"update economic.customer_matches set name = '{hostile}'",
        f"""insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
            select workspace_id, 'product', id, 'operator:{hostile[:90]}',
                   jsonb_build_array(jsonb_build_object('field', 'name', 'old', '{hostile}', 'new', '{hostile}'))
            from pike.products""",
        f"""insert into economic.dead_letters
                (id, source, event_id, type, workspace_id, lane, body, cause, problem, received_at)
            values (gen_random_uuid(), '/pike', 'x', 'pike.invoice.created', '{WS}', 'work',
                    convert_to(jsonb_build_object('specversion', '1.0', 'data', jsonb_build_object('invoice',
                        jsonb_build_object('id', '{hostile}', 'title', '{hostile}')))::text, 'utf8'),
                    'product_barred', '{problem}', now())""",
    )  # fmt: skip
    for name, where in (await pages(site)).items():
        await otto.open(where)
        await assert_page_good(otto, f"hostile-{name}")
        assert await otto.page.title() != "owned", name
        assert await otto.page.locator("main img, main script").count() == 0, name
    await otto.open(f"{AT}/products")
    assert MARKUP in await otto.page.locator("tbody th a").first.inner_text()
    await expect(otto.page.locator("h1")).to_contain_text("drop table pike.products")


def hostile_problem() -> str:
    """Return a problem, as JSON in SQL, whose every text is hostile."""
    text = HOSTILE[:3000]
    economic = {"error_code": "E06600", "property": "p", "log_id": text[:60]}
    problem = {"cause": "product_barred", "user_message": text, "remedy": text, "fields": [text[:50]], "final": True}
    return json.dumps(problem | {"economic": economic}).replace("'", "''")


@pytest.mark.requirement("B11", "F16")
async def test_a_match_is_decided_side_by_side(site: Site, otto: Visitor) -> None:
    await ambiguous(site)
    await site.running.connect()
    await site.running.import_all("customers")
    page = otto.page
    await otto.open(f"{AT}/matches")
    await expect(page.locator(".candidate")).to_have_count(2)
    chosen = await page.locator(".candidate").first.locator("dd.id").inner_text()
    await page.locator(".candidate").first.get_by_role("button", name="This one").click()
    await expect(page.get_by_role("status").first).to_contain_text("Linked.")
    await expect(page.get_by_text("No customer waits for a decision")).to_be_visible()

    async def synced() -> bool:
        row = (await site.running.rows("select * from pike.customers where id = $1", UUID(chosen)))[0]
        return row["external_number"] == "2" and row["last_synced_at"] is not None

    await eventually(synced, timeout_s=20, message="the linked customer was read")


@pytest.mark.requirement("R11")
async def test_an_import_is_undone_on_its_page(site: Site, otto: Visitor) -> None:
    async with site.running.pike() as pike:
        await pike.execute("insert into pike.products (workspace_id, name) values ($1, 'Pike''s own')", WS)
    await site.running.connect()
    await site.running.import_all("products")
    await otto.open(f"{AT}/imports")
    await otto.page.get_by_role("region", name="Imports").get_by_role("link").first.click()
    await otto.page.get_by_role("button", name="Undo: activate 1 product again").click()
    await expect(otto.page.get_by_text("are active again")).to_be_visible()
    assert await site.running.value("select active from pike.products where name = 'Pike''s own'")


async def test_settings_are_changed_written_down_and_refused_when_wrong(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.import_all("products")
    page = otto.page
    await otto.open(f"{AT}/settings")
    await page.get_by_label("If a product is missing there").select_option("default")
    await page.get_by_label("Product to use instead").fill("no such product")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.get_by_text("Pike knows no product no such product")).to_be_visible()
    otto.complaints.clear()  # the browser tells of the status 422
    number = await site.running.value("select external_number from pike.products where active and not barred limit 1")
    await page.get_by_label("Product to use instead").fill(number)
    await page.get_by_label("An invoice made in Pike").select_option("book")
    await page.get_by_label("Read changes every").select_option("60")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.get_by_text("The settings are kept.")).to_be_visible()
    row = (await site.running.rows("select * from economic.connections"))[0]
    assert (row["booking"], row["on_missing_product"], row["sync_every_minutes"]) == ("book", "default", 60)
    audit = (await site.running.rows("select * from economic.access_audit where action = 'settings_changed'"))[0]
    assert audit["actor"] == "operator:otto"
    assert '"booking": "draft"' in audit["details"]
    assert '"booking": "book"' in audit["details"]


async def test_disconnecting_asks_first_and_takes_the_tags(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.import_all("products")
    page = otto.page
    await otto.open(AT)
    await page.get_by_text("Disconnect …").click()
    await page.get_by_label(f"Disconnect {WS} from agreement").check()
    await page.get_by_role("button", name="Disconnect", exact=True).click()
    await expect(page.get_by_text("The connection is being closed.")).to_be_visible()

    async def closed() -> bool:
        return await site.running.value("select status from economic.connections") == "closed"

    await eventually(closed, timeout_s=20, message="the connection is closed")
    await otto.open(f"{AT}/products")
    assert await page.locator(".badge.tag").count() == 0
    await expect(page.locator(".company-head .badge")).to_have_text("Disconnected")
    asked = await site.running.value("select actor from economic.access_audit where action = 'disconnect_requested'")
    assert asked == "operator:otto"


async def test_a_form_sent_twice_asks_once(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await otto.open(f"{AT}/imports")
    fields = await otto.page.evaluate(
        """Object.fromEntries([...document.querySelectorAll('form[action$="/imports"] input')]
           .filter(i => i.type === 'hidden' || i.value === 'full').map(i => [i.name, i.value]))"""
    )
    form = {**fields, "products": "yes", "act": "import"}
    for _ in range(3):
        answer = await otto.context.request.post(f"{site.address}{AT}/imports", form=form, max_redirects=0)
        assert answer.status == 303
    await eventually(lambda: ended(site), timeout_s=20, message="the import ended")
    assert await site.running.value("select count(*) from economic.imports") == 1
    assert await site.running.value("select count(*) from economic.access_audit where action = 'import_requested'") == 1
    assert await site.running.value("select count(*) from economic.dead_letters") == 0


async def ended(site: Site) -> bool:
    return await site.running.value("select state from economic.imports limit 1") == "completed"


async def test_a_viewer_reads_every_page_and_changes_nothing(site: Site) -> None:
    await site.running.connect()
    await site.running.import_all()
    async with site.visitor(VIEWER_TOKEN) as vera:
        for name, where in (await pages(site)).items():
            await vera.open(where)
            buttons = vera.page.locator("main form[method=post] button")
            assert await buttons.count() == 0, f"{name} offers {await buttons.all_inner_texts()}"
        for where in (AT, f"{AT}/imports", f"{AT}/settings", f"{AT}/matches", f"{AT}/problems", "/console/workspaces"):
            answer = await vera.context.request.post(
                f"{site.address}{where}", form={"act": "disconnect", "sure": "yes"}
            )
            assert answer.status == 403, where
    assert await site.running.value("select count(*) from economic.operator_requests") == 0


async def test_another_workspaces_records_are_not_there(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.connect("ws-other", agreement=site.sandbox.add_agreement())
    await site.running.import_all()
    for name, where in (await pages(site)).items():
        if "/products/" in where or "/customers/" in where or "/invoices/" in where or "/imports/" in where:
            answer = await otto.page.goto(where.replace(WS, "ws-other"))
            assert answer is not None
            assert answer.status == 404, name
    for where in (
        "/console/workspaces/never-connected",
        f"{AT}/products/{uuid4()}",
        f"{AT}/products/x",
        f"{AT}/imports/x",
    ):
        answer = await otto.page.goto(where)
        assert answer is not None
        assert answer.status == 404, where


async def test_addresses_made_up_by_hand_show_the_first_page(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.import_all("products")
    for tail in ("products?after=x", "invoices?after=WyJ4IiwieSJd", "invoices?state=no&q=%00", "products/x?before=-1",
                 "imports?before=WyIxIiwiMiJd", "reports?until=13-13", "reports?until=9999-12", "reports?until=0001-01",
                 "reports/projects?project=%27%3B--", "products?q=%25_%5C"):  # fmt: skip
        answer = await otto.page.goto(f"{AT}/{tail}")
        assert answer is not None
        assert answer.status in (200, 404), f"{tail} answered {answer.status}"


@pytest.mark.requirement("R2")
async def test_reports_come_as_files_that_a_spreadsheet_takes_for_text(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.import_all()
    await as_worker(site, "update pike.customers set name = '=cmd|'' /C calc''!A0' where external_number is not null")
    files = {}
    for name in ("revenue", "receivables", "customers", "projects"):
        answer = await otto.context.request.get(f"{site.address}{AT}/reports/{name}.csv")
        assert answer.status == 200
        assert answer.headers["content-disposition"] == f'attachment; filename="{WS}-{name}.csv"'
        files[name] = (await answer.body()).decode("utf-8-sig")
    assert "'=cmd|" in files["customers"]
    assert "\n=cmd" not in files["customers"]
    assert ",=cmd" not in files["customers"]
    nets = await site.running.rows(
        "select net from pike_reporting.revenue_by_month where workspace_id = $1 order by month, currency", WS
    )
    lines = files["revenue"].splitlines()[1:]
    assert [line.split(",")[3] for line in lines] == [format(row["net"], "f") for row in nets]


async def test_a_stranger_and_a_form_of_another_site_change_nothing(site: Site) -> None:
    await site.running.connect()
    async with aiohttp.ClientSession() as stranger:
        for where in (AT, f"{AT}/imports", f"{AT}/reports/revenue.csv", "/console/workspaces"):
            async with stranger.get(site.address + where, allow_redirects=False) as answer:
                assert answer.status == 303
                assert answer.headers["Location"].startswith("/console/login")
    async with site.visitor() as otto:
        form: dict[str, Any] = {"act": "disconnect", "sure": "yes", "new_id": str(uuid4()), "form_token": "forged"}
        answer = await otto.context.request.post(f"{site.address}{AT}", form=form)
        assert answer.status == 403
    assert await site.running.value("select status from economic.connections") == "active"
