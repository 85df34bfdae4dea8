"""The import chapter: Pike starts with records of its own; everything of e-conomic arrives, to the øre."""

import time
from decimal import Decimal
from typing import Any

from worker.demo.claims import Story
from worker.demo.pike import Pike
from worker.demo.stack import Stack

OWN_PRODUCTS = ("Consulting hour (old list)", "Project day (old list)", "Travel (old list)")


async def tell_import(story: Story, pike: Pike, running: Stack) -> None:
    """Import everything and compare both sides."""
    agreement = running.sandbox.agreements[0]
    matched, ambiguous = await _own_records(story, pike, running)
    story.step("Import data: products, customers and invoices with their lines")
    calls = len(running.sandbox.requests)
    begun = time.monotonic()
    done = await pike.command_json("import", "--workspace", pike.workspace)
    seconds = time.monotonic() - begun
    calls = len(running.sandbox.requests) - calls
    invoices = len(agreement.booked) + len(agreement.drafts)
    story.claim(
        "2,000 customers, 1,000 products, 5,000 invoices in under 15 s",
        done["type"] == "economic.import.completed" and seconds < 15,
        f"{seconds:.1f} s, {calls} API calls for {invoices} invoices with lines",
    )
    for kind, theirs in (("products", agreement.products), ("customers", agreement.customers)):
        held_back = 2 if kind == "customers" else 0
        ours = await pike.value(
            f"select count(*) from pike.{kind} where agreement_number = $1 and vanished_at is null",
            agreement.number,
        )
        story.equal(f"{kind} in Pike: e-conomic's own less {held_back} for a person", ours, len(theirs) - held_back)
    await _sums(story, pike, running)
    await _first_import_rules(story, pike, done, matched, ambiguous)


async def _own_records(story: Story, pike: Pike, running: Stack) -> tuple[Any, Any]:
    """Give Pike a few records of its own, so that deactivation and matching are seen."""
    story.step("Pike has a few products and customers of its own already")
    for name in OWN_PRODUCTS:
        await pike.add_product(name)
    agreement = running.sandbox.agreements[0]
    unique = [c for c in agreement.customers if c.cvr and not c.barred]
    counts: dict[str, int] = {}
    for customer in agreement.customers:
        counts[customer.name] = counts.get(customer.name, 0) + 1
    known = next(c for c in unique if counts[c.name] == 1)
    matched = await pike.add_customer(known.name + " (Pike)", vat_number=f"DK {known.cvr}")
    first, second = [c for c in agreement.customers if c is not known and counts[c.name] == 1 and not c.cvr][:2]
    agreement.rename_customer(first.number, "Nordlys Design ApS")
    agreement.rename_customer(second.number, "Nordlys Design ApS")
    ambiguous = await pike.add_customer("Nordlys Design ApS")
    story.say(f"{len(OWN_PRODUCTS)} products; one customer with the VAT number of {known.name};")
    story.say("one whose name two customers of e-conomic bear")
    return (matched, str(known.number)), ambiguous


async def _sums(story: Story, pike: Pike, running: Stack) -> None:
    """Compare booked invoices per currency and year with e-conomic's own state, to the øre."""
    rows = await pike.rows(
        """select currency, extract(year from issue_date)::int as year, count(*)::int as count,
                  sum(net_amount) as net, sum(vat_amount) as vat, sum(gross_amount) as gross,
                  sum(remainder) as remainder
           from pike.invoices where booked_number is not null group by 1, 2"""
    )
    ours = {(r["currency"], r["year"]): (r["count"], r["net"], r["vat"], r["gross"], r["remainder"]) for r in rows}
    theirs = {
        key: (total.count, total.net, total.vat, total.gross, total.remainder)
        for key, total in running.sandbox.agreements[0].totals().items()
    }
    gross = sum((value[3] for (currency, _), value in ours.items() if currency == "DKK"), Decimal(0))
    story.claim(
        "count, net, VAT, gross and unpaid rest agree per currency and year",
        ours == theirs,
        f"{len(ours)} pairs of currency and year, {sum(v[0] for v in ours.values())} invoices, DKK {gross:,.2f} gross"
        if ours == theirs
        else f"they differ: {sorted(set(ours.items()) ^ set(theirs.items()), key=str)[:4]}",
    )
    lines = await pike.rows(
        """select count(*)::int as count, sum(l.net_amount) as net from pike.invoice_lines l
           join pike.invoices i on i.id = l.invoice_id where i.booked_number is not null"""
    )
    booked = running.sandbox.agreements[0].booked
    count = sum(len(invoice.lines) for invoice in booked)
    net = sum((line.net for invoice in booked for line in invoice.lines), Decimal(0))
    story.equal("booked lines, and their net sum", (lines[0]["count"], lines[0]["net"]), (count, net))
    untaxed = await pike.value(
        """select count(*) from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
           where i.booked_number is not null and l.product_id is not null and l.tax_rate_id is null"""
    )
    story.equal("booked product lines without a tax rate (R27)", untaxed, 0)


async def _first_import_rules(story: Story, pike: Pike, done: Any, matched: Any, ambiguous: Any) -> None:
    """R11 and B11 as a person sees them."""
    off = await pike.value(
        """select count(*) from pike.products
           where external_number is null and not active and deactivated_by_import is not null"""
    )
    story.equal("Pike's own products deactivated, each naming the import (R11)", off, len(OWN_PRODUCTS))
    number = await pike.value("select external_number from pike.customers where id = $1", matched[0])
    story.equal("the customer with the same VAT number was linked (B11)", number, matched[1])
    waiting = await pike.rows("select external_number, candidates from economic.customer_matches where state = 'open'")
    story.claim(
        "two customers fit one of Pike's: left to a person, not guessed (B11)",
        len(waiting) == 2 and all(ambiguous in row["candidates"] for row in waiting),
        f"{len(waiting)} listed: {', '.join(row['external_number'] for row in waiting)}",
    )
    counts = done["counts"]
    story.say(
        "counts: "
        + "; ".join(
            f"{entity} {c['created']} created, {c['updated']} updated, {c['deactivated']} deactivated, "
            f"{c['rejected']} put aside"
            for entity, c in counts.items()
        )
    )
