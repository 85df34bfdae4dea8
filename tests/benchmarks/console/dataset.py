"""The data the console is measured on: 50 workspaces, 1,000,000 invoices, 10,000 dead letters, written by set-based SQL.

Sizes are uneven, as tenants are: the largest workspace has a tenth of all invoices, and the pages are measured on it.
Row triggers and foreign keys are off while it is written; what is written obeys them.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from worker.store.crypto import Vault

LARGEST = "bench-0"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    workspaces: int = 50
    invoices: int = 1_000_000
    dead_letters: int = 10_000

    @property
    def of_largest(self) -> int:
        """Invoices of the largest workspace: a tenth, or what there is for two workspaces."""
        return self.invoices // 10 if self.workspaces > 1 else self.invoices

    @property
    def of_others(self) -> int:
        """Invoices of each other workspace."""
        return (self.invoices - self.of_largest) // max(self.workspaces - 1, 1)


_STATEMENTS = (
    (
        "connections, workers, gates",
        """
insert into economic.connections (id, workspace_id, agreement_number, company_name, base_currency, status, grant_sealed,
                                  grant_key_id, problem)
select md5('c' || w)::uuid, 'bench-' || w, 1000000 + w, 'Company ' || w || ' A/S', 'DKK',
       case when w % 17 = 5 then 'revoked' when w % 17 = 9 then 'closed' else 'active' end,
       case when w % 17 <> 9 then '\\x00'::bytea end, case when w % 17 <> 9 then 'bench' end,
       case when w % 17 = 5 then '{"cause": "grant_revoked", "user_message": "e-conomic no longer accepts the access.",
                                   "remedy": "Connect again.", "fields": [], "economic": null, "final": true}'::jsonb end
from generate_series(0, $1::int - 1) w where $2::int >= 0 and $3::int >= 0
""",
    ),
    (
        "products and customers",
        """
with sizes as (select w, case when w = 0 then 10000 else 2000 end as n from generate_series(0, $1::int - 1) w),
p as (
    insert into pike.products (id, workspace_id, agreement_number, external_number, name, sku, unit, price, currency,
                               active, barred, finance_account, last_synced_at, last_attempt_at, last_problem, locked)
    select md5('p' || w || '.' || i)::uuid, 'bench-' || w, 1000000 + w, case when i % 20 > 0 then 'P' || i end,
           (array['Hosting', 'Design', 'Rejse', 'Konsulent', 'Licens', 'Support', 'Kursus', 'Frugt'])[1 + i % 8] || ' ' || i,
           'SKU-' || i, 'stk.', (i % 977) + 0.95, 'DKK', i % 11 > 0, i % 11 = 0, 1010,
           now() - make_interval(mins => i % 500), now(),
           case when i % 300 = 7 then '{"cause": "not_found", "user_message": "Gone.", "remedy": "Import."}'::jsonb end,
           i % 20 > 0
    from sizes, generate_series(1, n / 2) i
)
insert into pike.customers (id, workspace_id, agreement_number, external_number, name, primary_contact_full_name,
                            primary_contact_email, address, zip, city, country, vat_number, currency, last_synced_at,
                            last_attempt_at, last_problem)
select md5('k' || w || '.' || i)::uuid, 'bench-' || w, 1000000 + w, case when i % 20 > 0 then i::text end,
       (array['Nordlys', 'Havn', 'Fjord', 'Bakke', 'Skov', 'Mølle', 'Bro'])[1 + i % 7] || ' ' || i || ' ApS',
       'Anna Jensen', 'anna' || i || '@example.dk', 'Vejen ' || i, '8000', 'Aarhus', 'Danmark',
       'DK' || (10000000 + i), 'DKK', now() - make_interval(mins => i % 500), now(),
       case when i % 300 = 7 then '{"cause": "not_found", "user_message": "Gone.", "remedy": "Import."}'::jsonb end
from sizes, generate_series(1, n) i where $2::int >= 0 and $3::int >= 0
""",
    ),
    (
        "invoices",
        """
insert into pike.invoices (id, workspace_id, agreement_number, external_number, title, status, customer_id,
                           customer_number, issue_date, due_date, currency, net_amount, vat_amount, gross_amount,
                           remainder, is_credit_note, booked_number, draft_number, project_id, last_synced_at,
                           last_attempt_at, last_problem, locked, synced_as_of)
select md5('i' || w || '.' || i)::uuid, 'bench-' || w, 1000000 + w,
       case when kind in ('failed', 'pending', 'outcome_unknown') then null else i::text end,
       'Faktura ' || i || ', ' || (array['hosting', 'rejse', 'design', 'support'])[1 + i % 4], kind,
       md5('k' || w || '.' || 1 + (i * 7919) % customers)::uuid, (1 + (i * 7919) % customers)::text, day, day + 30,
       case when i % 13 = 0 then 'EUR' else 'DKK' end, net, net * 0.25, net * 1.25,
       case when kind = 'booked' then net * 1.25 when kind = 'paid' then 0 end, i % 97 = 0,
       case when kind in ('booked', 'paid') then i end, case when kind = 'draft' then i end,
       case when i % 5 = 0 then 'project-' || i % 200 end, now() - make_interval(mins => i % 3000), now(),
       case when kind = 'failed' then
            '{"cause": "product_barred", "user_message": "Product P7 is barred.", "remedy": "Unbar it.", "fields": []}'::jsonb end,
       kind not in ('failed', 'pending'), now()
from (
    select w, i, customers, current_date - ((n - i) * 1460 / n)::int as day, 100 + (i * 37 % 90000) / 100.0 as net,
           case when i % 499 = 3 then 'failed' when i % 997 = 5 then 'outcome_unknown' when i % 503 = 9 then 'pending'
                when i > n * 0.98 then 'draft' when i > n * 0.9 or i % 50 = 1 then 'booked' else 'paid' end as kind
    from (select w, case when w = 0 then $2::int else $3::int end as n, case when w = 0 then 10000 else 2000 end as customers
          from generate_series(0, $1::int - 1) w) sizes, generate_series(1, n) i
) rows
""",
    ),
    (
        "lines, audit",
        """
with of as (select id, workspace_id, net_amount, vat_amount, row_number() over () as i from pike.invoices),
l as (
    insert into pike.invoice_lines (invoice_id, position, description, quantity, unit_price, net_amount, vat_amount)
    select id, 1, 'Linje', 2, net_amount / 2, net_amount, vat_amount from of
)
insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
select workspace_id, 'invoice', id, 'import:bench', '[{"field": "status", "old": "booked", "new": "paid"}]'::jsonb
from of where i % 3 = 0 and $1::int + $2::int + $3::int > 0
""",
    ),
    (
        "imports, matches",
        """
with m as (
    insert into economic.customer_matches (workspace_id, agreement_number, external_number, name, matched_by, candidates)
    select 'bench-' || w, 1000000 + w, (900000 + i)::text, 'Havn ' || i, 'name',
           array[md5('k' || w || '.' || i * 20)::uuid, md5('k' || w || '.' || i * 20 + 20)::uuid]
    from generate_series(0, $1::int - 1) w, generate_series(1, 12) i
)
insert into economic.imports (id, event_source, event_id, workspace_id, agreement_number, entities, mode, dry_run,
                              requested_by, state, cursor, counts, report, started_at, updated_at, finished_at)
select md5('m' || w || '.' || i)::uuid, '/pike', md5('m' || w || '.' || i)::uuid::text, 'bench-' || w, 1000000 + w,
       '{products,customers,invoices}', 'full', i % 9 = 0, 'anna', case when i % 31 = 0 then 'failed' else 'completed' end,
       '{"stage": "closing", "seen": {"products": 1000, "booked": 9000}, "totals": {"products": 1000, "booked": 9000}}',
       '{"products": {"created": 3, "updated": 5, "unchanged": 992, "deactivated": 1, "rejected": 0},
         "invoices": {"created": 30, "updated": 50, "unchanged": 8920, "deactivated": 0, "rejected": 0}}',
       (select jsonb_build_object('remarks', '[]'::jsonb, 'rows', jsonb_agg(jsonb_build_object(
            'kind', 'booked', 'currency', c, 'year', y, 'count', 4000, 'net', '1000000.00', 'vat', '250000.00',
            'gross', '1250000.00', 'economic_count', 4000, 'economic_net', '1000000.00', 'economic_vat', '250000.00',
            'economic_gross', '1250000.00', 'difference', '0.00')))
        from generate_series(2022, 2026) y, unnest(array['DKK', 'EUR']) c),
       now() - make_interval(hours => i * 3), now(), now() - make_interval(hours => i * 3) + interval '4 minutes'
from generate_series(0, $1::int - 1) w, generate_series(1, 200) i where $2::int >= 0 and $3::int >= 0
""",
    ),
    (
        "operations: workers, samples, finished events",
        """
with works as (
    insert into economic.workers (id, host, pid, version, commit, state, consumers)
    select md5('w' || i)::uuid, 'bench', i, '0.1.0', 'bench', 'running', '{"work": true}' from generate_series(1, 8) i
), lanes as (
    insert into economic.lane_samples (at, lane, messages, unfinished, oldest_s)
    select now() - make_interval(secs => 30 * s), lane, s % 50, s % 40, s % 90
    from generate_series(1, 2880) s, unnest(array['work', 'bulk', 'solo']) lane
), samples as (
    insert into economic.work_samples (at, worker_id, event_type, outcomes, critical)
    select now() - make_interval(secs => 30 * s), md5('w' || 1 + s % 8)::uuid, type, '{"synced": 40, "retry": 1}',
           array[5, 10, 20, 5]::int[] || array_fill(0, array[12])
    from generate_series(1, 2880) s, unnest(array['pike.invoice.created', 'pike.refresh.requested']) type
)
insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, outcome, attempts, received_at,
                            finished_at)
select '/pike', 'done-' || i, 'pike.invoice.created', 'bench-' || i % $1::int, 'work', '\\x00', 'done', 'synced', 1,
       now() - make_interval(secs => i), now() - make_interval(secs => i)
from generate_series(1, 200000) i where $2::int >= 0 and $3::int >= 0
""",
    ),
)

_DEAD = """
insert into economic.dead_letters (id, source, event_id, type, workspace_id, lane, body, content_type, cause, problem,
                                   detail, attempts, history, received_at, buried_at)
select md5('d' || i)::uuid, '/pike', 'dead-' || i, 'pike.invoice.created', 'bench-' || (i * i) % $2::int, 'work',
       convert_to(jsonb_build_object(
           'specversion', '1.0', 'id', 'dead-' || i, 'source', '/pike', 'type', 'pike.invoice.created',
           'workspaceid', 'bench-' || (i * i) % $2::int, 'data', jsonb_build_object('invoice', jsonb_build_object(
               'id', md5('i0.' || i)::uuid, 'title', 'Faktura ' || i, 'customer_id', md5('k0.1')::uuid,
               'issue_date', current_date, 'currency', 'DKK', 'lines', '[]'::jsonb)))::text, 'utf8'),
       'application/cloudevents+json', cause,
       jsonb_build_object('cause', cause, 'user_message', 'The invoice cannot be sent: ' || cause || '.', 'remedy',
                          'Put it right in e-conomic and replay.', 'fields', jsonb_build_array('lines[0].product_id'),
                          'economic', jsonb_build_object('error_code', code, 'property', 'lines[0].product', 'log_id', 'log-' || i),
                          'final', true),
       'detail', 3, '[{"at": "2026-11-23T09:30:00Z", "attempt": 1, "error": "Refused", "log_id": "x"}]',
       now() - make_interval(secs => i * 60), now() - make_interval(secs => i * 60)
from (select i, (array['product_barred', 'period_barred', 'customer_deleted', 'text_too_long', 'currency_unusable'])[1 + i % 5] as cause,
             (array['E06600', 'E04041', 'E06000', 'E04500', 'E06001'])[1 + i % 5] as code
      from generate_series(1, $1::int) i) rows
"""


async def build(url: str, size: Size, vault: Vault, say: Callable[[str], None]) -> float:
    """Fill a migrated, empty database; returns the seconds it took. The session says it is the worker.

    Grants are sealed by ``vault``: a worker does not start beside grants that it cannot open.
    """
    began = time.perf_counter()
    connection = await asyncpg.connect(url, server_settings={"pike_economic.writer": "worker"})
    try:
        for setting in ("synchronous_commit = off", "session_replication_role = replica", "work_mem = '256MB'",
                        "maintenance_work_mem = '512MB'"):  # fmt: skip
            await connection.execute(f"set {setting}")
        for what, sql in _STATEMENTS:
            since = time.perf_counter()
            await connection.execute(sql, size.workspaces, size.of_largest, size.of_others, timeout=900)
            say(f"  {what}: {time.perf_counter() - since:.1f} s")
        await connection.execute(_DEAD, size.dead_letters, size.workspaces, timeout=300)
        for row in await connection.fetch("select id from economic.connections where status <> 'closed'"):
            sealed = vault.seal(SecretStr(f"grant-{row['id']}"), row["id"])
            await connection.execute(
                "update economic.connections set grant_sealed = $2, grant_key_id = $3 where id = $1",
                row["id"],
                sealed.data,
                sealed.key_id,
            )
        # as autovacuum would have done by the time anybody looks
        await connection.execute("vacuum (analyze)", timeout=900)
    finally:
        await connection.close()
    return time.perf_counter() - began


def record_id(kind: str, number: int, workspace: int = 0) -> UUID:
    """Return the id of a record of the dataset: ``i`` invoice, ``k`` customer, ``p`` product, ``m`` import, ``d`` letter."""
    text = f"d{number}" if kind == "d" else f"{kind}{workspace}.{number}"
    return UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())
