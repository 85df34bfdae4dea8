-- When each connection is read again without anybody asking (B10), and the round that is under way. Only additions: a
-- worker of the version before does not notice them.
create table economic.schedules (
    connection_id uuid        primary key references economic.connections (id) on delete cascade,
    next_at       timestamptz not null,          -- the next round of changes
    sweep_at      timestamptz not null,          -- from then on a round reads everything, to find what was deleted
    run_id        text,                          -- id of the event of the round under way: one at a time
    run_since     timestamptz,
    last_end_at   timestamptz,
    last_state    text,                          -- completed, failed, cancelled, skipped
    last_problem  jsonb
);
create index schedules_due on economic.schedules (next_at);

-- Rounds of the schedule are kept among the imports, but are none that a person asked for.
alter table economic.imports add column if not exists scheduled boolean not null default false;
create index imports_ended on economic.imports (workspace_id, agreement_number, finished_at) where state = 'completed';
