/** The few things that every publisher needs: publish with certainty, and hear the answer. */
import { type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from "amqplib";

const EXCHANGE = "pike.events";
const CONTENT_TYPE = "application/cloudevents+json";

/** What every event of the contract has; the generated types are assignable to it. */
export interface Event {
  id: string;
  type: string;
  correlationid?: string;
}

export class Integration {
  /** Publishes that came back because no queue took them, by message id: the broker says so before it confirms. */
  private readonly returned = new Set<string>();

  private constructor(
    private readonly connection: ChannelModel,
    private readonly channel: ConfirmChannel,
  ) {
    channel.on("return", (message: ConsumeMessage) => this.returned.add(String(message.properties.messageId)));
    // A lost connection ends the waiting calls with an error; without listeners it would end the process
    connection.on("error", () => undefined);
    channel.on("error", () => undefined);
  }

  static async connect(url: string): Promise<Integration> {
    const connection = await connect(url, { timeout: 10_000 });
    return new Integration(connection, await connection.createConfirmChannel());
  }

  async close(): Promise<void> {
    await this.connection.close().catch(() => undefined);
  }

  /** Return once a queue holds the event. After an error nobody knows: publish again, with the same id. */
  async publish(event: Event): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.channel.publish(
        EXCHANGE,
        event.type,
        Buffer.from(JSON.stringify(event)),
        { contentType: CONTENT_TYPE, messageId: event.id, persistent: true, mandatory: true },
        (error: unknown) => (error ? reject(error) : resolve()),
      );
    });
    if (this.returned.delete(event.id)) {
      throw new Error(`Nobody takes ${event.type}: the e-conomic integration was never started on this virtual host.`);
    }
  }

  /** Publish and return the event that ends the request. */
  async request<A extends Event>(event: Event, ends: A["type"][], timeoutMs: number): Promise<A> {
    // Bound before publishing, so that no answer can pass by. A service that lives on takes a durable queue with a
    // name of its own, and acknowledges.
    const { queue } = await this.channel.assertQueue("", { exclusive: true });
    for (const type of ends) await this.channel.bindQueue(queue, EXCHANGE, type);

    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<A>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`No answer to ${event.id} within ${timeoutMs / 1000} s.`)), timeoutMs);
      this.connection.once("close", () => reject(new Error("The connection was lost before the answer came.")));
      const hear = (message: ConsumeMessage | null): void => {
        if (message === null) return reject(new Error("The queue was deleted before the answer came."));
        const heard = JSON.parse(message.content.toString("utf8")) as A;
        if (heard.correlationid === event.id) resolve(heard);
      };
      this.channel.consume(queue, hear, { noAck: true }).catch(reject);
    });
    answered.catch(() => undefined); // told below; until then nobody waits for it
    try {
      await this.publish(event);
      return await answered;
    } finally {
      clearTimeout(timer);
    }
  }
}
