"""The push chapters: an invoice made in Pike, its lock, a failure in plain words with its replay, and a lost answer."""

from typing import Any
from uuid import UUID, uuid4

from worker.demo.claims import Story
from worker.demo.pike import Pike
from worker.demo.stack import Stack


async def tell_push(story: Story, pike: Pike, running: Stack) -> dict[str, Any]:
    """Push an invoice; returns its request, which later chapters vary."""
    story.step("An invoice made in Pike becomes a draft in e-conomic")
    agreement = running.sandbox.agreements[0]
    invoice = await _invoice(pike)
    request = await pike.publish("pike.invoice.created", {"invoice": invoice})
    answer = await pike.answer(request, "economic.invoice.synced", "economic.invoice.sync_failed")
    drafts = agreement.find_drafts(f"Pike {invoice['id']}")
    story.claim(
        "one draft in e-conomic, found by Pike's reference",
        answer.type == "economic.invoice.synced" and len(drafts) == 1,
        f"draft {', '.join(str(draft.number) for draft in drafts) or 'none'}, answer {answer.type}",
    )
    row = (await pike.rows("select * from pike.invoices where id = $1", UUID(invoice["id"])))[0]
    draft = drafts[0]
    story.equal(
        "net, VAT and gross in Pike are e-conomic's",
        (row["net_amount"], row["vat_amount"], row["gross_amount"]),
        (draft.net, draft.vat, draft.gross),
    )
    synced = row["last_synced_at"]
    story.claim(
        "the row is locked and stamped with last synced (R22, R29)",
        row["locked"] and synced is not None,
        f"status {row['status']}, last synced {synced:%Y-%m-%d %H:%M:%S} UTC" if synced else "no stamp",
    )
    refusal = await pike.edit("update pike.invoices set title = 'changed' where id = $1", UUID(invoice["id"]))
    story.claim("editing it in Pike is refused in plain words (R31)", refusal is not None, refusal or "it was allowed")
    await pike.publish("pike.invoice.created", {"invoice": invoice}, event_id=request)
    again = await pike.publish("pike.invoice.created", {"invoice": invoice})
    await pike.answer(again, "economic.invoice.synced", "economic.invoice.sync_failed")
    story.equal(
        "drafts after the same event again, and the same invoice under another event (B1)",
        len(agreement.find_drafts(f"Pike {invoice['id']}")),
        1,
    )
    return invoice


async def tell_failure(story: Story, pike: Pike, running: Stack, invoice: dict[str, Any]) -> None:
    """A barred product: explained, dead-lettered, put right, replayed."""
    story.step("A failure that reads like help: the product is barred in e-conomic")
    agreement = running.sandbox.agreements[0]
    product_id = UUID(invoice["lines"][0]["product_id"])
    number = await pike.value("select external_number from pike.products where id = $1", product_id)
    agreement.bar_product(number)
    failing = _again(invoice)
    request = await pike.publish("pike.invoice.created", {"invoice": failing})
    answer = await pike.answer(request, "economic.invoice.synced", "economic.invoice.sync_failed")
    problem = getattr(answer.data, "problem", None)
    story.claim(
        "economic.invoice.sync_failed says what happened and what to do",
        problem is not None and problem.cause.value == "product_barred",
        f"{problem.user_message} {problem.remedy}" if problem else answer.type,
    )
    rows = await pike.rows("select status, locked from pike.invoices where id = $1", UUID(failing["id"]))
    editable = rows[0] == {"status": "failed", "locked": False}
    story.claim("the invoice stays editable in Pike (R22)", editable, f"status {rows[0]['status']}")
    letters = await pike.command_json("dead", "list")
    story.claim(
        "it lies among the dead letters, by cause",
        [letter["cause"] for letter in letters] == ["product_barred"],
        f"pike-economic dead list: {len(letters)} letter, cause {letters[0]['cause'] if letters else 'none'}",
    )
    agreement.bar_product(number, barred=False)
    story.say(f"product {number} is unbarred in e-conomic; an operator replays the letter")
    await pike.command_json("dead", "replay", "--cause", "product_barred")
    answer = await pike.answer(request, "economic.invoice.synced")
    drafts = agreement.find_drafts(f"Pike {failing['id']}")
    story.claim(
        "the same event now succeeds, with one draft",
        len(drafts) == 1,
        f"draft {drafts[0].number if drafts else 'none'}, answer {answer.type}",
    )
    story.equal("open dead letters", len(await pike.command_json("dead", "list")), 0)


async def tell_lost_answer(story: Story, pike: Pike, running: Stack, invoice: dict[str, Any]) -> None:
    """e-conomic makes the draft, and the connection breaks before the answer."""
    story.step("The answer is lost after e-conomic made the draft")
    agreement = running.sandbox.agreements[0]
    running.sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts", times=1)
    unlucky = _again(invoice)
    request = await pike.publish("pike.invoice.created", {"invoice": unlucky})
    await pike.answer(request, "economic.invoice.outcome_unknown")
    frozen = await pike.edit("update pike.invoices set title = 'changed' where id = $1", UUID(unlucky["id"]))
    story.claim(
        "Pike says that the outcome is unknown and freezes the invoice (R22)",
        frozen is not None,
        "economic.invoice.outcome_unknown; editing is refused",
    )
    await pike.answer(request, "economic.invoice.synced")
    drafts = agreement.find_drafts(f"Pike {unlucky['id']}")
    story.equal("it looked the draft up by its reference instead of sending again; drafts (B1)", len(drafts), 1)


async def _invoice(pike: Pike) -> dict[str, Any]:
    """Make an invoice of a linked customer over two linked products and a text line."""
    customer = await pike.value(
        """select id from pike.customers
           where external_number is not null and active and not barred and currency = 'DKK'
           order by external_number::int limit 1"""
    )
    products = await pike.rows(
        """select id, name from pike.products
           where external_number is not null and active and finance_account is not null
           order by external_number limit 2"""
    )
    return {
        "id": str(uuid4()),
        "title": "Website, November",
        "customer_id": str(customer),
        "issue_date": "2026-11-23",
        "currency": "DKK",
        "project_id": "project-7",
        "lines": [
            _line(products[0], "3.00", "153.44", discount="10"),
            _line(products[1], "1.50", "950.00"),
            {"id": str(uuid4()), "description": "Thank you for working with us", "quantity": "0", "unit_price": "0"},
        ],
    }


def _line(product: dict[str, Any], quantity: str, price: str, discount: str | None = None) -> dict[str, Any]:
    line = {
        "id": str(uuid4()),
        "product_id": str(product["id"]),
        "description": product["name"],
        "quantity": quantity,
        "unit_price": price,
    }
    return line if discount is None else {**line, "discount_percent": discount}


def _again(invoice: dict[str, Any]) -> dict[str, Any]:
    """Return another invoice like this one."""
    lines = [{**line, "id": str(uuid4())} for line in invoice["lines"]]
    return {**invoice, "id": str(uuid4()), "lines": lines}
