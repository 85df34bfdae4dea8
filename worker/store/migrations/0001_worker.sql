-- The worker's own tables. Nobody else reads schema economic.
-- Times are database times (now()), so that several machines agree about leases.

create schema economic;

-- One e-conomic agreement per workspace. The grant token is sealed: authenticated encryption, bound to this row.
create table economic.connections (
    id               uuid primary key,
    workspace_id     text        not null unique,
    agreement_number int         not null,
    company_name     text        not null,
    base_currency    text        not null,
    status           text        not null check (status in ('active', 'revoked', 'closed')),
    grant_sealed     bytea,
    grant_key_id     text,
    grant_version    int         not null default 1,   -- grows with every (re)connect
    booking          text        not null default 'draft' check (booking in ('draft', 'book')),
    on_missing_product  text     not null default 'halt' check (on_missing_product in ('halt', 'create', 'default')),
    on_missing_customer text     not null default 'create' check (on_missing_customer in ('halt', 'create', 'default')),
    defaults         jsonb       not null default '{}',
    problem          jsonb,
    connected_at     timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    check (status <> 'active' or (grant_sealed is not null and grant_key_id is not null))
);

-- Every event received, once. (source, event_id) is its identity; a repeat finds the row and is not acted on again.
create table economic.inbox (
    source        text        not null,
    event_id      text        not null,
    type          text        not null,
    workspace_id  text        not null,
    lane          text        not null,
    body          bytea,                       -- raw, until the event is done; parked events are sent again from here
    content_type  text,
    headers       jsonb       not null default '{}',
    body_hash     bytea       not null,        -- same id, different body is a conflict, not a repeat
    state         text        not null check (state in ('running', 'waiting', 'parked', 'frozen', 'done', 'dead')),
    outcome       text,
    attempts      int         not null default 0,
    snoozes       int         not null default 0,
    fence         bigint      not null default 0,   -- grows with every claim; a late writer with an old fence changes nothing
    lease_until   timestamptz,
    owner         text,                        -- the delivery that holds the lease; it may claim again at once
    history       jsonb       not null default '[]',
    received_at   timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    finished_at   timestamptz,
    primary key (source, event_id)
);
create index inbox_unfinished on economic.inbox (received_at) where state not in ('done', 'dead');
create index inbox_workspace_state on economic.inbox (workspace_id, state) where state in ('parked', 'frozen');

-- Events to publish. A row's presence means "not yet confirmed by the broker"; the confirm deletes it.
-- leased_until belongs to the process that wrote or took the row; after that anybody may take it.
create table economic.outbox (
    id            bigint      generated always as identity primary key,
    event_id      text        not null,
    type          text        not null,
    workspace_id  text        not null,
    exchange      text        not null,
    routing_key   text        not null,
    content_type  text        not null,
    headers       jsonb       not null default '{}',
    body          bytea       not null,
    ephemeral     boolean     not null default false,  -- progress only: may be dropped when nobody listens
    attempts      int         not null default 0,
    unheard       boolean     not null default false,  -- no queue is bound to its type
    last_error    text,
    created_at    timestamptz not null default now(),
    leased_until  timestamptz not null
);
create index outbox_due on economic.outbox (leased_until, id);

-- What we did to e-conomic, by business identity, not by message: at most one of each (B1).
-- The row with reference, key and exact bytes is committed before the call; the result after it.
create table economic.effects (
    agreement_number int         not null,
    subject_id       uuid        not null,
    step             text        not null check (step in ('customer', 'draft', 'book')),
    workspace_id     text        not null,
    reference        text        not null,
    idempotency_key  text        not null,
    body             bytea       not null,
    state            text        not null check (state in ('intent', 'done', 'unknown', 'refused')),
    external_number  text,
    fence            bigint      not null,
    first_sent_at    timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    checked_at       timestamptz,
    problem          jsonb,
    primary key (agreement_number, subject_id, step)
);
create index effects_unknown on economic.effects (updated_at) where state in ('intent', 'unknown');

create table economic.imports (
    id               uuid        primary key,
    event_source     text        not null,
    event_id         text        not null,
    workspace_id     text        not null,
    agreement_number int         not null,
    entities         text[]      not null,
    mode             text        not null,
    dry_run          boolean     not null default false,
    requested_by     text,
    traceparent      text,
    state            text        not null check (state in ('running', 'completed', 'failed', 'cancelled')),
    cancel_requested boolean     not null default false,
    cursor           jsonb       not null default '{}',
    counts           jsonb       not null default '{}',
    report           jsonb,
    problem          jsonb,
    started_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    finished_at      timestamptz
);
create index imports_event on economic.imports (workspace_id, event_id);
create unique index imports_one_running on economic.imports (workspace_id) where state = 'running';

-- Records an import could not use, kept with the reason.
create table economic.import_rejects (
    import_id       uuid        not null references economic.imports (id) on delete cascade,
    entity          text        not null,
    external_number text,
    reason          text        not null,
    raw             text        not null,
    at              timestamptz not null default now()
);
create index import_rejects_import on economic.import_rejects (import_id, entity);

-- Customers of e-conomic that fit several Pike customers: a person decides (B11).
create table economic.customer_matches (
    workspace_id     text        not null,
    agreement_number int         not null,
    external_number  text        not null,
    name             text        not null,
    matched_by       text        not null,
    candidates       uuid[]      not null,
    state            text        not null default 'open' check (state in ('open', 'linked', 'created', 'ignored')),
    import_id        uuid,
    found_at         timestamptz not null default now(),
    primary key (workspace_id, agreement_number, external_number)
);

create table economic.dead_letters (
    id            uuid        primary key,
    source        text,
    event_id      text,
    type          text,
    workspace_id  text,
    lane          text        not null,
    body          bytea       not null,
    content_type  text,
    headers       jsonb       not null default '{}',
    cause         text        not null,
    problem       jsonb       not null,
    detail        text        not null default '',    -- for engineers; never holds a token
    attempts      int         not null default 0,
    history       jsonb       not null default '[]',
    state         text        not null default 'open' check (state in ('open', 'replayed', 'discarded')),
    received_at   timestamptz not null,
    buried_at     timestamptz not null default now(),
    closed_at     timestamptz,
    closed_by     text,
    closed_reason text
);
create index dead_letters_open on economic.dead_letters (cause, buried_at) where state = 'open';
create index dead_letters_event on economic.dead_letters (source, event_id);

-- Before and after of every field a sync changed (B14).
create table economic.audit (
    id           bigint      generated always as identity primary key,
    workspace_id text        not null,
    entity       text        not null,
    entity_id    uuid        not null,
    actor        text        not null,     -- 'import:<id>', 'refresh:<event id>', 'push:<event id>', 'operator:<name>'
    changes      jsonb       not null,     -- [{field, old, new}]
    at           timestamptz not null default now()
);
create index audit_entity on economic.audit (entity_id, id);
