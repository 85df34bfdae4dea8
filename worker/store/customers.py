"""Reading and linking Pike's customers: what matching, pushing and invoices need beside the upsert."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from schemas.customer import LocalCustomer
from schemas.invoice import Recipient
from worker.store.pool import Connection

_LOCAL = """
select id, name, external_number, primary_contact_email as email, vat_number, address, zip, city, country, currency
from pike.customers
"""


async def unlinked(connection: Connection, workspace_id: str) -> list[LocalCustomer]:
    """Return Pike's own customers, not linked to any agreement: the candidates of a first import (B11)."""
    rows = await connection.fetch(_LOCAL + "where workspace_id = $1 and external_number is null", workspace_id)
    return [LocalCustomer(**row) for row in rows]


async def find(connection: Connection, workspace_id: str, agreement: int, customer_id: UUID) -> LocalCustomer | None:
    """Return one customer of this workspace. A number from another agreement is left out: it means nothing here."""
    row = await connection.fetchrow(
        """select id, name, case when agreement_number = $3 then external_number end as external_number,
                  primary_contact_email as email, vat_number, address, zip, city, country, currency
           from pike.customers where workspace_id = $1 and id = $2""",
        workspace_id,
        customer_id,
        agreement,
    )
    return LocalCustomer(**row) if row else None


async def link(connection: Connection, workspace_id: str, agreement: int, links: Mapping[UUID, str]) -> list[UUID]:
    """Give Pike's customers their e-conomic numbers. A customer linked meanwhile, or a number taken, is left alone."""
    if not links:
        return []
    rows = await connection.fetch(
        """update pike.customers c set agreement_number = $2, external_number = t.number, updated_at = now()
           from unnest($3::uuid[], $4::text[]) as t(id, number)
           where c.id = t.id and c.workspace_id = $1 and c.external_number is null
             and not exists (select 1 from pike.customers o where o.workspace_id = $1 and o.agreement_number = $2
                             and o.external_number = t.number)
           returning c.id""",
        workspace_id,
        agreement,
        list(links.keys()),
        list(links.values()),
    )
    return [row["id"] for row in rows]


async def stamp(connection: Connection, workspace_id: str, agreement: int, number: str) -> None:
    """Note that a linked customer was met in e-conomic just now; its fields are left as they are (R32)."""
    await connection.execute(
        """update pike.customers set last_synced_at = now(), last_attempt_at = now(), last_problem = null
           where workspace_id = $1 and agreement_number = $2 and external_number = $3""",
        workspace_id,
        agreement,
        number,
    )


async def insert_local(connection: Connection, workspace_id: str, customer: LocalCustomer) -> None:
    """Keep a customer that Pike made just now and sent along with an invoice; an existing row is not changed."""
    await connection.execute(
        """insert into pike.customers (id, workspace_id, name, primary_contact_email, vat_number, address, zip, city, country, currency)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do nothing""",
        customer.id,
        workspace_id,
        customer.name,
        customer.email,
        customer.vat_number,
        customer.address,
        customer.zip,
        customer.city,
        customer.country,
        customer.currency,
    )


async def ensure_from_recipients(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    recipients: Mapping[str, Recipient],
    as_of: datetime,
) -> list[UUID]:
    """R24: a customer that e-conomic no longer has is made from the address on its invoice, inactive."""
    if not recipients:
        return []
    rows = await connection.fetch(
        """insert into pike.customers
             (workspace_id, agreement_number, external_number, name, address, zip, city, country, vat_number,
              active, vanished_at, last_synced_at, last_attempt_at, synced_as_of)
           select $1, $2, t.number, t.name, t.address, t.zip, t.city, t.country, t.cvr, false, now(), now(), now(), $3
           from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
                as t(number, name, address, zip, city, country, cvr)
           on conflict (workspace_id, agreement_number, external_number) do nothing
           returning id""",
        workspace_id,
        agreement,
        as_of,
        list(recipients),
        [recipient.name or f"Customer {number}" for number, recipient in recipients.items()],
        *(
            [getattr(recipient, name) for recipient in recipients.values()]
            for name in ("address", "zip", "city", "country", "cvr")
        ),
    )
    return [row["id"] for row in rows]
