/**
 * Publish an invoice and wait until it is in e-conomic, or until we know why not.
 *
 *   PIKE_AMQP_URL=amqp://… npm start -- --workspace ws-1 --product <id in pike.products>
 *
 * Prints the answer as JSON; exit code 0 when the invoice was synced, 1 when it was not.
 */
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import type { InvoiceSyncFailedEvent } from "./contract/economic.invoice.sync_failed.schema.js";
import type { InvoiceSyncedEvent } from "./contract/economic.invoice.synced.schema.js";
import type { InvoiceCreatedEvent } from "./contract/pike.invoice.created.schema.js";
import { Integration } from "./integration.js";

type Answer = InvoiceSyncedEvent | InvoiceSyncFailedEvent;
const ENDS: Answer["type"][] = ["economic.invoice.synced", "economic.invoice.sync_failed"];

/** An invoice with one line, for a customer that e-conomic does not have yet. */
function invoiceFor(workspace: string, productId: string): InvoiceCreatedEvent {
  const customerId = randomUUID();
  return {
    specversion: "1.0",
    id: randomUUID(),
    source: "/pike/node-example",
    type: "pike.invoice.created",
    time: new Date().toISOString(),
    workspaceid: workspace,
    datacontenttype: "application/json",
    data: {
      invoice: {
        id: randomUUID(),
        title: "Published from Node",
        customer_id: customerId,
        issue_date: new Date().toISOString().slice(0, 10),
        currency: "DKK",
        // Amounts are texts: 950.10 has no exact binary fraction. e-conomic takes amounts only with a product.
        lines: [
          { id: randomUUID(), product_id: productId, description: "Konsulenttime", quantity: "7.5", unit_price: "950.10" },
        ],
      },
      customer: { id: customerId, name: "Nørre Tømrer ApS", email: "bogholderi@example.com", currency: "DKK" },
    },
  };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { workspace: { type: "string" }, product: { type: "string" }, timeout: { type: "string", default: "60" } },
  });
  const url = process.env["PIKE_AMQP_URL"];
  if (!url || !values.workspace || !values.product) {
    console.error("Needed: PIKE_AMQP_URL in the environment, --workspace and --product (an id in pike.products).");
    return 2;
  }
  const integration = await Integration.connect(url);
  try {
    const request = invoiceFor(values.workspace, values.product);
    const answer = await integration.request<Answer>(request, ENDS, Number(values.timeout) * 1000);
    console.log(JSON.stringify({ type: answer.type, data: answer.data }));
    return answer.type === "economic.invoice.synced" ? 0 : 1;
  } finally {
    await integration.close();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 1;
});
