-- When a record was last named by a webhook: in a burst it is read once the calls about it have settled. Only additions.
alter table economic.hints add column if not exists last_at timestamptz not null default clock_timestamp();
