-- A kind of record that is kept in step is a table with columns of its own and one call: what every such table has, its
-- locks, its row security and its place in the views come from here (deploy/docs/contributing.md).

create table economic.entities (
    entity     text primary key,          -- one of them, as events and messages call it: 'product'
    table_name text not null unique       -- in schema pike: 'products'
);
insert into economic.entities values ('product', 'products'), ('customer', 'customers'), ('invoice', 'invoices');

-- The views that go over all kinds. Same columns and same rules as in 0013, so that they are replaced in place.
create procedure economic.rebuild_entity_views()
language plpgsql as $$
declare
    mine  constant text := '(workspace_id = (select current_setting(''app.workspace'', true)) or (select pike.sees_all_workspaces()))';
    rows_ text;
begin
    select string_agg(format(
        'select workspace_id, %L::text as entity, id, agreement_number, external_number, last_problem, last_synced_at from pike.%I',
        entity, table_name), ' union all ' order by table_name)
    into rows_ from economic.entities;
    execute format($view$
        create or replace view pike_reporting.sync_status with (security_barrier) as
        select workspace_id, entity, count(*) as records,
               count(*) filter (where external_number is not null) as linked,
               count(*) filter (where last_problem is not null) as with_problem,
               max(last_synced_at) as last_synced_at, min(last_synced_at) as oldest_sync
        from (%s) rows where %s group by workspace_id, entity
    $view$, rows_, mine);
    execute format($view$
        create or replace view pike_reporting.economic_tags with (security_barrier) as
        select r.workspace_id, r.entity, r.id, r.agreement_number, r.external_number, r.last_synced_at
        from (select * from (%s) rows where %s) r
        join economic.connections c on c.workspace_id = r.workspace_id and c.agreement_number = r.agreement_number
        where c.status <> 'closed' and r.external_number is not null
    $view$, rows_, mine);
end
$$;

-- Complete a table that holds a kind's own columns only. editable: those that a person may change on a linked row,
-- separated by commas. What upserts and refreshes write is in worker/store/records.py.
create procedure economic.add_entity(entity text, table_name text, editable text default '')
language plpgsql as $$
declare
    synced constant text := 'agreement_number,external_number,locked,last_synced_at';
begin
    execute format($table$
        alter table pike.%1$I
            add column id                    uuid        primary key default gen_random_uuid(),
            add column workspace_id          text        not null,
            add column agreement_number      int,
            add column external_number       text,
            add column active                boolean     not null default true,
            add column barred                boolean     not null default false,
            add column deactivated_by_import uuid,
            add column vanished_at           timestamptz,
            add column last_synced_at        timestamptz,
            add column last_attempt_at       timestamptz,
            add column last_problem          jsonb,
            add column locked                boolean     not null default false,
            add column synced_as_of          timestamptz,
            add column updated_at            timestamptz not null default now(),
            add unique (workspace_id, agreement_number, external_number);
        create index on pike.%1$I (workspace_id) where external_number is null;
        create trigger %2$I before update or delete on pike.%1$I
            for each row execute function pike.refuse_locked_change(%4$L, %5$L);
        create trigger %3$I before insert or update on pike.%1$I
            for each row execute function pike.refuse_foreign_identity(%4$L, %6$L);
        alter table pike.%1$I enable row level security;
        create policy workspace on pike.%1$I
            using (workspace_id = (select current_setting('app.workspace', true)))
    $table$, table_name, table_name || '_locked', table_name || '_own', entity, concat_ws(',', nullif(editable, ''), 'updated_at'), synced);
    insert into economic.entities values (entity, table_name);
    call economic.rebuild_entity_views();
end
$$;
