-- Messages of workspaces that have more under way than their share: taken from RabbitMQ's queue, so that those of others
-- come through, and worked on from here when there is room. Only additions: a worker of the version before does not
-- notice them.

-- A row's presence means "not settled yet". due_at in the future: somebody is at work on it, or it waits to be tried again.
create table economic.overflow (
    id            bigint      generated always as identity primary key,
    lane          text        not null,
    workspace_id  text        not null,
    routing_key   text        not null,
    message_id    text,
    content_type  text,
    headers       jsonb       not null default '{}',
    body          bytea       not null,
    set_aside_at  timestamptz not null default now(),
    due_at        timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index overflow_due on economic.overflow (lane, workspace_id, due_at, id);
