"""What every peer does per event besides its framework: the SQL and the shapes, written as a team would by hand."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import BaseModel

SCHEMA = """
create schema if not exists bench;
create table if not exists bench.inbox (event_id text primary key, received_at timestamptz not null default now());
create table if not exists bench.customers (
    number text primary key, name text not null, email text, city text, zip text, vat_number text,
    currency text, last_synced_at timestamptz not null);
create table if not exists bench.outbox (
    id bigserial primary key, event_id text not null, body bytea not null,
    created_at timestamptz not null default now());
"""
INBOX = "insert into bench.inbox (event_id) values ({0}) on conflict do nothing"
UPSERT = """
insert into bench.customers (number, name, email, city, zip, vat_number, currency, last_synced_at)
values ({0}, {1}, {2}, {3}, {4}, {5}, {6}, {7})
on conflict (number) do update set name = excluded.name, email = excluded.email, city = excluded.city,
    zip = excluded.zip, vat_number = excluded.vat_number, currency = excluded.currency,
    last_synced_at = excluded.last_synced_at
"""
OUTBOX = "insert into bench.outbox (event_id, body) values ({0}, {1}) returning id"
OUTBOX_DELETE = "delete from bench.outbox where id = {0}"


class Data(BaseModel):
    """The request's data."""

    entity: str
    external_number: str


class Event(BaseModel):
    """The request."""

    id: str
    source: str
    type: str
    workspaceid: str
    time: datetime
    data: Data


class Customer(BaseModel):
    """The fields of e-conomic's customer that are kept."""

    customerNumber: int
    name: str
    email: str | None = None
    city: str | None = None
    zip: str | None = None
    corporateIdentificationNumber: str | None = None
    currency: str


def values(customer: Customer) -> tuple[object, ...]:
    """Return the upsert's arguments."""
    return (
        str(customer.customerNumber), customer.name, customer.email, customer.city, customer.zip,
        customer.corporateIdentificationNumber, customer.currency, datetime.now(UTC),
    )  # fmt: skip


def completion(event: Event) -> tuple[str, bytes]:
    """Return id and body of the completion event."""
    event_id = str(uuid4())
    body = {
        "specversion": "1.0", "id": event_id, "source": "/peer", "type": "economic.refresh.completed",
        "time": datetime.now(UTC).isoformat(), "workspaceid": event.workspaceid, "correlationid": event.id,
        "causationid": event.id, "datacontenttype": "application/json",
        "data": {
            "entity": "customer", "id": event_id, "external_number": event.data.external_number,
            "last_synced_at": datetime.now(UTC).isoformat(), "changes": [],
        },
    }  # fmt: skip
    return event_id, json.dumps(body).encode()
