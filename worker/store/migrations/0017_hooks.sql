-- Webhooks (B10): who may call us, which hooks are set up in e-conomic, and what they hinted at and is to be read again.
-- Only additions: a worker of the version before does not notice them.

-- One row per connection. The secret is sealed like a grant and known to callers by its hashes: hooks made through the
-- API send it in a header; those set up by hand carry another, made from it, in their address.
create table economic.hook_receivers (
    connection_id uuid        primary key references economic.connections (id) on delete cascade,
    secret_sealed bytea       not null,
    secret_key_id text        not null,
    header_hash   bytea       not null,
    address_hash  bytea       not null,
    reading_id    text,                                -- the event that re-reads what was hinted at: one at a time
    reading_since timestamptz,
    check_at      timestamptz not null default now()   -- when the hooks are looked at again
);
create index hook_receivers_check on economic.hook_receivers (check_at);

-- What was found in e-conomic when the hooks were last looked at.
create table economic.hooks (
    connection_id uuid        not null references economic.connections (id) on delete cascade,
    event_type    text        not null,
    state         text        not null check (state in ('on', 'taken', 'not_offered', 'no_access', 'off')),
    repaired      int         not null default 0,      -- how often it was switched on or corrected again
    repaired_at   timestamptz,
    disabled_at   timestamptz,                         -- when e-conomic last switched it off, as it states
    checked_at    timestamptz not null default now(),
    primary key (connection_id, event_type)
);

-- Records to read again; many calls about one record are one row.
create table economic.hints (
    connection_id   uuid        not null references economic.connections (id) on delete cascade,
    entity          text        not null check (entity in ('product', 'customer', 'invoice')),
    external_number text        not null,
    renamed_from    text,
    version         bigint      not null default 1,    -- grows with every call: what is hinted at while it is read stays
    first_at        timestamptz not null default clock_timestamp(),
    primary key (connection_id, entity, external_number)
);

-- What is told to Pike about it: how fresh a workspace is kept.
create view pike_reporting.freshness with (security_barrier) as
select c.workspace_id, c.agreement_number, s.last_end_at as last_round_at, s.last_state as last_round,
       s.last_problem as round_problem, case when c.status = 'active' then s.next_at end as next_round_at,
       (select jsonb_object_agg(h.event_type, h.state) from economic.hooks h where h.connection_id = c.id) as webhooks
from economic.connections c left join economic.schedules s on s.connection_id = c.id
where c.workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces());
