-- Retention and erasure: who pruned last, and an append-only record that housekeeping alone may shorten. Only additions.

-- One row per task that one process does for all, now and then.
create table economic.housekeeping (
    task      text        primary key,
    began_at  timestamptz not null default now(),
    ended_at  timestamptz,                          -- null while it runs, or when it was broken off
    done      jsonb       not null default '{}'     -- table → rows removed in the last whole pass
);

-- What guards the record of acts against mistakes lets those pass that say what they are: retention, and erasing a
-- person's data (set local pike_economic.housekeeping = 'on').
create or replace function economic.refuse_audit_change() returns trigger
language plpgsql as $$
begin
    if coalesce(current_setting('pike_economic.housekeeping', true), '') = 'on' then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    raise exception using errcode = 'PE002',
        message = 'The record of what operators did is append-only.',
        hint = 'Write another entry that corrects it.';
end
$$;
