-- Replays of dead letters in campaigns, and the record of what operators did (B4). Only additions: a worker of the
-- version before does not notice them.

-- A campaign: a frozen set of letters, sent in steps (1, 10, the rest). One command holds it at a time, by lease.
create table economic.replays (
    id                uuid             primary key,
    selection         jsonb            not null,     -- what the operator asked for, in words of the command
    rate_per_s        double precision not null check (rate_per_s > 0),
    max_failure_share double precision not null check (max_failure_share between 0 and 1),
    state             text             not null check (state in ('running', 'halted', 'done')),
    round             int              not null default 1,    -- grows when a halted campaign is resumed: the steps begin anew
    halted_because    text,
    started_by        text             not null,
    owner             text,                          -- the command that holds it
    lease_until       timestamptz,
    started_at        timestamptz      not null default now(),
    updated_at        timestamptz      not null default now(),
    finished_at       timestamptz
);

create table economic.replay_letters (
    replay_id      uuid not null references economic.replays (id),
    letter_id      uuid not null references economic.dead_letters (id),
    place          int  not null,
    state          text not null check (state in
                   ('waiting',     -- to be sent; taken by this campaign
                    'released',    -- not sent, because the campaign halted; others may take it
                    'skipped',     -- somebody else closed the letter first
                    'sent',        -- on its way, no outcome yet
                    'done', 'failed', 'held')),
    round          int,
    watch_source   text,           -- the inbox row that shows the outcome
    watch_event_id text,
    cause          text,           -- why it failed again
    sent_at        timestamptz,
    settled_at     timestamptz,
    primary key (replay_id, letter_id)
);
-- A letter waits in one campaign at most.
create unique index replay_letters_taken on economic.replay_letters (letter_id) where state = 'waiting';
create index replay_letters_open on economic.replay_letters (replay_id, place) where state in ('waiting', 'sent');

-- Who did what to which letter, when and why. Append-only.
create table economic.operator_audit (
    id        bigint      generated always as identity primary key,
    at        timestamptz not null default now(),
    operator  text        not null,
    action    text        not null check (action in ('replay', 'edit', 'discard', 'dry-run')),
    letter_id uuid        not null,
    replay_id uuid,
    reason    text,
    details   jsonb       not null default '{}',
    before    bytea,                              -- an edited event's body as it was and as it was sent
    after     bytea
);
create index operator_audit_letter on economic.operator_audit (letter_id, id);

create function economic.refuse_audit_change() returns trigger
language plpgsql as $$
begin
    raise exception using errcode = 'PE002',
        message = 'The record of what operators did is append-only.',
        hint = 'Write another entry that corrects it.';
end
$$;
create trigger operator_audit_append_only before update or delete on economic.operator_audit
    for each row execute function economic.refuse_audit_change();
