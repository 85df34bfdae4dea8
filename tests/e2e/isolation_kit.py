"""Two workspaces whose agreements hold the same numbers, every text of each marked with whose it is."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from harness import Harness
from support import eventually
from test_push_walk import invoice

from events.envelope import Envelope
from worker.runtime.replay import replay
from worker.runtime.undo import undo_deactivations
from worker.sandbox import Agreement
from worker.store import customers, dead_letters, imports, matches

IMPORTED = ("economic.import.completed", "economic.import.failed", "economic.import.cancelled")
REFRESHED = ("economic.refresh.completed", "economic.refresh.failed")
PUSHED = ("economic.invoice.synced", "economic.invoice.sync_failed")


def mark_texts(agreement: Agreement, mark: str) -> None:
    """Put a mark into every text of an agreement that reaches Pike."""
    for customer in list(agreement.customers):
        agreement.change_customer(customer.number, name=f"{mark} {customer.name}", address=f"{mark} {customer.address}")
    for contact in list(agreement.contacts):
        contact.name = f"{mark} {contact.name}"
    for product in list(agreement.products):
        agreement.change_product(product.number, name=f"{mark} {product.name}", description=f"{mark} vare")
    for document in [*agreement.drafts, *agreement.booked]:
        document.heading = f"{mark} {document.heading or 'Faktura'}"
        document.recipient.name = f"{mark} {document.recipient.name}"
        for line in document.lines:
            line.description = f"{mark} {line.description or 'linje'}"
    agreement.forget_texts()


@dataclass
class Tenant:
    """One workspace, its agreement, and what it has done so far. ``ids`` gives both tenants the same event ids."""

    running: Harness
    workspace: str
    mark: str
    agreement: Agreement
    ids: random.Random
    chance: random.Random
    imports: list[str] = field(default_factory=list)

    async def send(self, event_type: str, data: dict[str, Any]) -> str:
        """Publish as this tenant's service: the other tenant's service uses the same ids."""
        event_id = str(UUID(int=self.ids.getrandbits(128), version=4))
        await self.running.publish_from(
            f"/pike/{self.workspace}", event_type, data, workspace=self.workspace, event_id=event_id
        )
        return event_id

    async def ask(self, event_type: str, data: dict[str, Any], *types: str) -> Envelope[Any]:
        """Publish and wait for this tenant's own answer."""
        event_id = await self.send(event_type, data)
        return await self.heard(event_id, *types)

    async def heard(self, event_id: str, *types: str) -> Envelope[Any]:
        """Wait for an answer that carries this workspace's name."""

        def found() -> Envelope[Any] | None:
            return next(
                (
                    event
                    for event in self.running.heard
                    if (event.workspace_id, event.correlation_id) == (self.workspace, event_id) and event.type in types
                ),
                None,
            )

        answer = await eventually(found, timeout_s=40, message=f"{types} for {self.workspace}")
        assert answer is not None
        return answer

    # --- what a tenant does ------------------------------------------------------------------

    async def import_(self, entities: Sequence[str] = (), **options: Any) -> None:
        """Import some kinds, or what changed of them."""
        entities = entities or self.chance.sample(["products", "customers", "invoices"], self.chance.randint(1, 3))
        answer = await self.ask("pike.import.requested", {"entities": list(entities), **options}, *IMPORTED)
        if not options.get("dry_run"):
            self.imports.append(str(answer.correlation_id))

    async def import_changes(self) -> None:
        """Rename somebody in e-conomic and read what changed."""
        number = self.chance.choice([customer.number for customer in self.agreement.customers])
        self.agreement.rename_customer(number, f"{self.mark} omdøbt {self.chance.randint(1, 99)}")
        await self.import_(["customers"], mode="changes")

    async def preview(self) -> None:
        """See what an import would do."""
        event_id = await self.send("pike.import.requested", {"entities": ["customers", "invoices"], "dry_run": True})
        await self.heard(event_id, "economic.import.previewed", *IMPORTED)

    async def cancel(self) -> None:
        """Begin an import and think better of it."""
        event_id = await self.send("pike.import.requested", {"entities": ["invoices"]})
        await self.send("pike.import.cancel_requested", {"import_id": event_id})
        await self.heard(event_id, *IMPORTED)

    async def refresh(self) -> None:
        """Press Refresh on a record, by number or by id."""
        entity, numbers = self.chance.choice(
            [
                ("product", [product.number for product in self.agreement.products]),
                ("customer", [str(customer.number) for customer in self.agreement.customers]),
                ("invoice", [str(booked.number) for booked in self.agreement.booked]),
            ]
        )
        await self.ask(
            "pike.refresh.requested", {"entity": entity, "external_number": self.chance.choice(numbers)}, *REFRESHED
        )

    async def push(self) -> None:
        """Send an invoice with a customer that Pike made just now."""
        answer = await self.ask("pike.invoice.created", self.request(await self.product()), *PUSHED)
        assert answer.type == "economic.invoice.synced", answer.data

    async def product(self, number: str | None = None) -> UUID:
        """Return Pike's id of a product, refreshed; one that is not barred unless a number is given."""
        number = number or self.chance.choice([each.number for each in self.agreement.products if not each.barred])
        await self.ask("pike.refresh.requested", {"entity": "product", "external_number": number}, *REFRESHED)
        found: UUID = await self.running.value(
            "select id from pike.products where workspace_id = $1 and external_number = $2", self.workspace, number
        )
        return found

    def request(self, product: UUID | None = None) -> dict[str, Any]:
        """Return an invoice's data with this tenant's mark."""
        customer = uuid4()
        wanted = invoice(customer, product, title=f"{self.mark} arbejde")
        for line in wanted["lines"]:
            line["description"] = f"{self.mark} timer"
        return {"invoice": wanted, "customer": {"id": str(customer), "name": f"{self.mark} ny kunde {customer}"}}

    async def edit(self) -> None:
        """Try to change what e-conomic rules."""
        row = await self.running.rows(
            "select id from pike.products where workspace_id = $1 and locked order by id limit 1", self.workspace
        )
        if row:
            changes = {"name": f"{self.mark} forsøg"}
            await self.ask(
                "pike.product.updated", {"id": str(row[0]["id"]), "changes": changes}, "economic.change.refused"
            )

    async def fail_and_replay(self) -> None:
        """Send an invoice with a barred product, unbar it, and have an operator send the letter again."""
        product = self.chance.choice([product.number for product in self.agreement.products if not product.barred])
        own = await self.product(product)
        self.agreement.bar_product(product)
        failed = await self.ask("pike.invoice.created", self.request(own), *PUSHED)
        assert failed.type == "economic.invoice.sync_failed"
        self.agreement.bar_product(product, barred=False)
        database = self.running.worker.dispatcher.database
        async with database.connection("test") as connection:
            (letter,) = await dead_letters.search(
                connection, event=(f"/pike/{self.workspace}", str(failed.correlation_id))
            )
        assert letter.workspace_id == self.workspace
        assert (await replay(database, letter.id, "tester")).result == "sent"
        await self.heard(str(failed.correlation_id), "economic.invoice.synced")

    async def undo(self) -> None:
        """Activate again what this tenant's last import deactivated."""
        await self.running.rows(
            "insert into pike.products (workspace_id, name) values ($1, $2) returning id",
            self.workspace, f"{self.mark} egen",
        )  # fmt: skip
        answer = await self.ask("pike.import.requested", {"entities": ["products"]}, *IMPORTED)
        dispatcher = self.running.worker.dispatcher
        async with dispatcher.database.connection("test") as connection:
            row = await imports.find_by_event(connection, self.workspace, str(answer.correlation_id))
        assert row is not None
        await undo_deactivations(dispatcher.database, dispatcher.clock, row, "tester")

    async def match(self) -> None:
        """Have a customer that fits two of Pike's, and say which it is."""
        number = str(self.chance.choice([customer.number for customer in self.agreement.customers]))
        name = self.agreement.customers[int(number)].name
        pair = [
            await self.running.value(
                "insert into pike.customers (workspace_id, name) values ($1, $2) returning id", self.workspace, name
            )
            for _ in range(2)
        ]
        await self.ask("pike.import.requested", {"entities": ["customers"]}, *IMPORTED)
        database = self.running.worker.dispatcher.database
        async with database.transaction("test") as connection:
            found = await matches.search(connection, self.workspace, self.agreement.number)
            for each in found:
                assert {candidate.name for candidate in each.candidates} <= {name, *self.names(each.name)}
            await customers.link(connection, self.workspace, self.agreement.number, {pair[0]: number})
            await matches.decide(connection, self.workspace, self.agreement.number, number, "linked")

    def names(self, name: str) -> set[str]:
        """Return what a candidate of this tenant may be called."""
        assert self.mark in name
        return {customer.name for customer in self.agreement.customers} | {name}

    async def reconnect(self) -> None:
        """Disconnect, send something meanwhile, and connect again."""
        own = await self.product()
        await self.ask("pike.disconnect.requested", {"requested_by": self.mark}, "economic.connection.closed")
        held = await self.send("pike.invoice.created", self.request(own))
        await self.running.connect(self.workspace, agreement=self.agreement)
        await self.heard(held, *PUSHED)  # sent, or refused because nothing was connected when it came

    async def act(self, steps: int) -> None:
        """Do so many things in an order of chance; the first import comes first."""
        acts = [
            self.import_, self.import_changes, self.preview, self.cancel, self.refresh, self.push, self.edit,
            self.fail_and_replay, self.undo, self.match, self.reconnect,
        ]  # fmt: skip
        self.chance.shuffle(acts)
        await self.import_(["products", "customers", "invoices"])
        for act in (acts * 3)[:steps]:
            await act()  # type: ignore[operator]


async def act_together(tenants: list[Tenant], steps: int) -> None:
    """Let every tenant act at the same time as the others."""
    async with asyncio.TaskGroup() as group:
        for tenant in tenants:
            group.create_task(tenant.act(steps))


def told(event: Envelope[Any]) -> str:
    """Return an event's text."""
    return json.dumps(event.data.model_dump(mode="json"), ensure_ascii=False)
