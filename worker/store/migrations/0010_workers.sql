-- What operators look at: which workers there are, and what queues and outcomes were like over the last day.
-- Only additions: a worker of the version before does not notice them.

-- One row per process, renewed by its heartbeat. A row that is no longer renewed is a process that went away.
create table economic.workers (
    id           uuid        primary key,
    host         text        not null,
    pid          int         not null,
    version      text        not null,
    commit       text        not null,
    state        text        not null check (state in ('running', 'stopping', 'stopped')),
    started_at   timestamptz not null default now(),
    seen_at      timestamptz not null default now(),
    consumers    jsonb       not null default '{}',   -- lane → whether it is consumed
    in_work      int         not null default 0,
    loop_lag_s   double precision not null default 0,
    outcomes     jsonb       not null default '{}',   -- of the process so far: outcome → deliveries
    budgets      jsonb       not null default '{}'    -- agreement → share of e-conomic's budget that is left, where known
);

-- One row per half minute: what waits, per lane. Written by whichever worker comes first.
create table economic.lane_samples (
    at           timestamptz not null,
    lane         text        not null,
    messages     int,                                 -- in RabbitMQ's queue; null when it did not answer
    unfinished   int         not null,                -- events without an outcome in the inbox
    oldest_s     double precision not null,
    primary key (at, lane)
);

-- One row per half minute, worker and event type that had something to do: what was done and how long it took.
create table economic.work_samples (
    at           timestamptz not null,
    worker_id    uuid        not null,
    event_type   text        not null,
    outcomes     jsonb       not null,                -- outcome → deliveries in this half minute
    critical     int[]       not null,                -- final outcomes by critical time, see worker.telemetry.metrics.WAITS
    primary key (at, worker_id, event_type)
);

-- pike-economic trace finds the rows that an event changed.
create index audit_actor on economic.audit (actor);
