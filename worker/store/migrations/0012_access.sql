-- Who may do what: the steps of connecting in a browser, operators' sessions, slowed-down strangers, and the record of
-- every act. Only additions: a worker of the version before does not notice them.

-- How often this connection reads what changed; null is the worker's default.
alter table economic.connections add column if not exists sync_every_minutes int
    check (sync_every_minutes between 1 and 10080);

-- One row per link of Pike's that was opened. It knows its browser and its state by their hashes only, and holds the
-- grant, sealed for this row, from e-conomic's answer until the person confirms.
create table economic.connect_attempts (
    id            uuid        primary key,
    workspace_id  text        not null,
    link_nonce    text        not null unique,        -- a link starts once
    requested_by  text,
    browser_hash  bytea       not null,
    state_hash    bytea       not null,
    stage         text        not null check (stage in ('consent', 'verifying', 'confirm', 'connected', 'ended')),
    ended_because text,
    grant_sealed  bytea,
    grant_key_id  text,
    agreement     jsonb,                              -- what the confirmation page shows
    created_at    timestamptz not null default now(),
    expires_at    timestamptz not null,
    check (grant_sealed is null or (stage = 'confirm' and grant_key_id is not null))
);
create index connect_attempts_expiry on economic.connect_attempts (expires_at);

-- A signed-in operator. The cookie is known by its hash; a session ends with the token it was made with.
create table economic.operator_sessions (
    id_hash     bytea       primary key,
    operator    text        not null,
    token_hash  bytea       not null,
    created_at  timestamptz not null default now(),
    seen_at     timestamptz not null default now(),
    expires_at  timestamptz not null
);
create index operator_sessions_expiry on economic.operator_sessions (expires_at);

-- Failed sign-ins by where they came from, over all workers.
create table economic.login_failures (
    address       text        primary key,
    failures      int         not null,
    blocked_until timestamptz not null,
    updated_at    timestamptz not null default now()
);

-- Every act of a person or command on access: sign-ins, connecting, disconnecting, rotating keys. Append-only.
create table economic.access_audit (
    id           bigint      generated always as identity primary key,
    at           timestamptz not null default now(),
    actor        text        not null,     -- 'operator:<name>', 'pike:<person>', 'command line', 'stranger'
    action       text        not null,
    workspace_id text,
    address      text,
    details      jsonb       not null default '{}'
);
create index access_audit_workspace on economic.access_audit (workspace_id, id);
create trigger access_audit_append_only before update or delete on economic.access_audit
    for each row execute function economic.refuse_audit_change();

-- Which rows carry the e-conomic tag: those of the agreement that is connected now. A disconnect takes the tags away and
-- leaves the rows and their numbers, so that reconnecting the same agreement goes on where it was.
create view pike_reporting.economic_tags as
select r.workspace_id, r.entity, r.id, r.agreement_number, r.external_number, r.last_synced_at
from (
    select workspace_id, 'product' as entity, id, agreement_number, external_number, last_synced_at from pike.products
    union all
    select workspace_id, 'customer', id, agreement_number, external_number, last_synced_at from pike.customers
    union all
    select workspace_id, 'invoice', id, agreement_number, external_number, last_synced_at from pike.invoices
) r
join economic.connections c on c.workspace_id = r.workspace_id and c.agreement_number = r.agreement_number
where c.status <> 'closed' and r.external_number is not null;
