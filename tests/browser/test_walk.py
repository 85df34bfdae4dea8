"""The whole story in a browser: connect, preview, import with progress, refresh, a failed invoice, remedy, synced.

Everything is done on pages, except what is done elsewhere in life: Pike publishes an invoice, and somebody puts a
product right in e-conomic.
"""

from functools import partialmethod
from typing import Any
from uuid import UUID, uuid4

import pytest
from browser_kit import Site, Visitor, assert_page_good
from playwright.async_api import Page, expect
from support import eventually

from worker.economic.endpoints import EconomicApi

ACME = "acme"
AT = f"/console/workspaces/{ACME}"


@pytest.mark.requirement("R8", "B5", "B7", "R12", "R28", "B3")
async def test_from_connecting_to_an_invoice_that_was_put_right(
    site: Site, otto: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(otto)
    await preview(site, otto.page)
    await import_with_progress(site, otto.page, monkeypatch)
    await refresh(site, otto.page)
    await fail_and_put_right(site, otto)
    assert not otto.complaints


async def connect(otto: Visitor) -> None:
    """Add integration: the link, e-conomic's consent, the choices, connected."""
    page = otto.page
    await otto.open("/console/workspaces")
    await expect(page.get_by_text("No workspace is connected yet")).to_be_visible()
    await page.get_by_label("Pike workspace").fill(ACME)
    await page.get_by_role("button", name="Make a link").click()
    async with otto.context.expect_page() as opened:
        await page.get_by_role("link", name="Go on to e-conomic").click()
    popup: Page = await opened.value
    await popup.get_by_role("button", name="Add app").click()
    await popup.get_by_role("button", name="Connect").click()
    await expect(popup.get_by_role("heading", name="is connected")).to_be_visible()
    await popup.close()
    await otto.open(AT)
    await expect(page.locator(".company-head .badge")).to_have_text("Connected")


async def preview(site: Site, page: Page) -> None:
    """Look at what an import would do; nothing is written."""
    await page.get_by_role("link", name="Import data").click()
    await page.get_by_role("button", name="Preview first").click()
    await expect(page.get_by_text("Nothing was written.")).to_be_visible(timeout=20_000)
    table = page.get_by_role("region", name="What an import would do")
    await expect(table.locator("tbody tr").first).to_contain_text("New")
    assert await table.locator("tbody tr").count() > 20
    assert await site.running.value("select count(*) from pike.products") == 0


async def import_with_progress(site: Site, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Import now on the preview and watch the bars move to the data report, without loading the page again."""
    for name in ("product_pages", "customer_pages", "draft_pages", "booked_pages"):
        monkeypatch.setattr(EconomicApi, name, partialmethod(getattr(EconomicApi, name), page_size=8))
    site.sandbox.faults.add("delay", path="/invoices/booked", seconds=0.3)
    await page.evaluate("window.bars = new Set()")
    await page.get_by_role("button", name="Import now").click()
    await page.wait_for_url(f"**{AT}/imports/*")
    await page.evaluate("window.loadedOnce = true")

    async def moved() -> bool:
        bar = page.get_by_label("Booked invoices")
        if not await bar.count():
            return False
        done, most = await bar.evaluate("bar => [bar.value, bar.max]")
        return bool(0 < done < most)

    await eventually(moved, timeout_s=30, message="the bar of booked invoices is under way")
    await expect(page.get_by_role("heading", name="Data report")).to_be_visible(timeout=30_000)
    await expect(page.locator("[data-live-status]")).to_have_attribute("data-state", "over")
    assert await page.evaluate("window.loadedOnce"), "the page was loaded again"
    site.sandbox.faults.clear()
    differences = page.get_by_role("region", name="Pike beside e-conomic").locator("tbody tr td:last-child")
    assert set(await differences.all_inner_texts()) == {"0.00", "–"}
    assert await site.running.value("select count(*) from pike.invoices where workspace_id = $1", ACME) > 40


async def refresh(site: Site, page: Page) -> None:
    """A product changes in e-conomic; Refresh shows it, with what changed, while the page stays open."""
    product = next(p for p in site.running.agreement.products if not p.barred)
    before = product.name
    site.running.agreement.change_product(product.number, name="A better name")
    await page.goto(f"{AT}/products?q={product.number}")
    row = page.locator("tbody tr").filter(has=page.get_by_role("cell", name=product.number, exact=True))
    await row.get_by_role("link").click()
    await page.get_by_role("button", name="Refresh").click()
    await expect(page.get_by_text("Refreshed.")).to_be_visible(timeout=20_000)
    await expect(page.get_by_role("heading", name="A better name")).to_be_visible()
    changed = page.get_by_role("region", name="What changed")
    await expect(changed.locator("del").first).to_have_text(before)
    await expect(changed.locator("ins").first).to_have_text("A better name")


async def fail_and_put_right(site: Site, otto: Visitor) -> None:
    """An invoice meets a barred product: read why, put it right in e-conomic, send it again, see it there."""
    page, running = otto.page, site.running
    event, invoice_id, number = await invoice_for(site)
    running.agreement.bar_product(number)
    await running.request("pike.invoice.created", event, "economic.invoice.sync_failed", workspace=ACME)
    await otto.open(AT)
    await expect(page.get_by_text("1 request could not be done.")).to_be_visible()
    await page.get_by_role("link", name="Read why, put it right").click()
    group = page.locator(".problem-group")
    await expect(group).to_contain_text("barred")
    await expect(group.locator(".remedy")).to_contain_text("Unbar")
    await expect(group.get_by_role("link", name="An invoice of Pike's")).to_be_visible()
    await assert_page_good(otto, "problems")
    running.agreement.bar_product(number, barred=False)
    await group.get_by_role("button", name="Send it again").click()
    await page.wait_for_url("**/console/dead/campaigns/*")
    await expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)

    async def there() -> bool:
        return await running.value("select status from pike.invoices where id = $1", UUID(invoice_id)) == "draft"

    await eventually(there, timeout_s=30, message="the invoice is in e-conomic")
    await otto.open(f"{AT}/invoices/{invoice_id}")
    await expect(page.locator("#record .badge").first).to_have_text("e-conomic")
    await expect(page.locator("#record")).to_contain_text("Draft")
    sent = [draft for draft in running.agreement.drafts if draft.lines and draft.lines[0].description == "Hours"]
    assert len(sent) == 1, "one invoice in e-conomic, not two"
    await otto.open(f"{AT}/problems")
    await expect(page.get_by_text("Nothing is wrong")).to_be_visible()


async def invoice_for(site: Site) -> tuple[dict[str, Any], str, str]:
    """Return an invoice as Pike publishes it, its id, and the number of its product in e-conomic."""
    product = (
        await site.running.rows(
            "select id, external_number from pike.products where workspace_id = $1 and active and not barred limit 1",
            ACME,
        )
    )[0]
    customer = await site.running.value(
        """select id from pike.customers where workspace_id = $1 and external_number is not null and not barred
           and currency = 'DKK' and active limit 1""",
        ACME,
    )
    invoice_id = str(uuid4())
    event = {
        "invoice": {
            "id": invoice_id, "title": "An invoice of Pike's", "customer_id": str(customer), "issue_date": "2026-11-23",
            "currency": "DKK",
            "lines": [{"id": str(uuid4()), "product_id": str(product["id"]), "description": "Hours", "quantity": "3",
                       "unit_price": "153.44"}],
        }
    }  # fmt: skip
    return event, invoice_id, product["external_number"]
