-- What all workers know together about an agreement's side of the line: whether e-conomic answers (breaker, B9), whether
-- it asked us to wait, and how many tokens of its budget are left (B8). Only additions: a worker of the version before
-- does not notice them. Agreement 0 stands for e-conomic as a whole.

create table economic.gates (
    agreement_number int              primary key,
    failures         int              not null default 0,   -- in a row, over all workers
    opened           int              not null default 0,   -- how often in a row the breaker opened
    held_until       timestamptz,                            -- nobody calls before
    held_because     text             check (held_because in ('breaker', 'rate')),
    probe_until      timestamptz,                            -- one event is trying whether e-conomic answers again
    tokens           double precision,                       -- left in the budget, as last counted
    budget           double precision,                       -- tokens per window
    window_s         double precision,
    counted_at       timestamptz,
    updated_at       timestamptz      not null default now()
);
