"""Publish an invoice and wait until it is in e-conomic, or until we know why not.

    python publish_invoice.py --workspace ws-1 --product <id in pike.products>     (address in PIKE_AMQP_URL)

Needs the package ``pike-economic``, of which it uses ``events`` only. Prints the answer as JSON; exit code 0 when the
invoice was synced, 1 when it was not.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import sys
from decimal import Decimal
from uuid import UUID, uuid4

import aio_pika

from events import CreatedCustomer, CreatedInvoice, CreatedLine, Envelope, InvoiceCreated
from events.answers import ANSWERS
from events.codec import decode
from events.envelope import EventData
from events.publisher import NotPublished, Publisher


def invoice_for(customer_name: str, product_id: UUID) -> InvoiceCreated:
    """Return an invoice with one line, for a customer that e-conomic does not have yet."""
    customer = CreatedCustomer(id=uuid4(), name=customer_name, email="bogholderi@example.com", currency="DKK")
    line = CreatedLine(
        id=uuid4(),
        product_id=product_id,  # e-conomic takes amounts only with a product
        description="Konsulenttime",
        quantity=Decimal("7.5"),
        unit_price=Decimal("950.00"),
    )
    today = dt.datetime.now(dt.UTC).date()
    invoice = CreatedInvoice(
        id=uuid4(),
        title="Published from Python",
        customer_id=customer.id,
        issue_date=today,
        due_date=today + dt.timedelta(days=14),
        currency="DKK",
        lines=(line,),
    )
    return InvoiceCreated(invoice=invoice, customer=customer)


async def push(url: str, workspace: str, data: InvoiceCreated) -> Envelope[EventData]:
    """Publish the invoice and return the event that ends the request."""
    ends = [answer.TYPE for answer in ANSWERS[InvoiceCreated]]
    connection = await aio_pika.connect(url)
    async with connection, Publisher(url, source="/pike/example") as pike:
        channel = await connection.channel()
        # Bound before publishing, so that no answer can pass by. A service that lives on takes a durable queue with a
        # name of its own, and acknowledges.
        queue = await channel.declare_queue(exclusive=True)
        for event_type in ends:
            await queue.bind("pike.events", event_type)
        request = await pike.publish(data, workspace_id=workspace)
        print(f"published {request.type} {request.id}", file=sys.stderr)
        async with queue.iterator(no_ack=True) as messages:
            async for message in messages:
                answer: Envelope[EventData] = decode(message.body, message.headers, message.content_type)
                if answer.correlation_id == request.id:
                    return answer
    raise SystemExit("the connection was closed before the answer came")


def main() -> int:
    """Read the options, push, print."""
    parser = argparse.ArgumentParser(description="Publish an invoice and wait for its answer.")
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--product", required=True, type=UUID, help="id of an imported product in pike.products")
    parser.add_argument("--customer", default="Nørre Tømrer ApS")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the answer")
    chosen = parser.parse_args()
    work = push(os.environ["PIKE_AMQP_URL"], chosen.workspace, invoice_for(chosen.customer, chosen.product))
    try:
        answer = asyncio.run(asyncio.wait_for(work, chosen.timeout))
    except NotPublished as problem:
        print(problem, file=sys.stderr)
        return 1
    print(json.dumps({"type": answer.type, "data": answer.data.model_dump(mode="json")}, ensure_ascii=False))
    return 0 if answer.type == "economic.invoice.synced" else 1


if __name__ == "__main__":
    sys.exit(main())
