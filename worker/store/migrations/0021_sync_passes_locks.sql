-- The locks let the sync pass before they are called, not after: a third of what writing a row cost. Each trigger stays as
-- it is but for its condition; functions keep their own look at who writes. Nothing is written, and nobody notices.
do $$
declare
    definition text;
begin
    for definition in
        select pg_get_triggerdef(oid) from pg_trigger
        where not tgisinternal and tgqual is null
          and tgfoid in ('pike.refuse_locked_change'::regproc, 'pike.refuse_foreign_identity'::regproc,
                         'pike.refuse_locked_line'::regproc, 'pike.refuse_foreign_product'::regproc)
    loop
        definition := replace(definition, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER');
        execute replace(definition, 'FOR EACH ROW', 'FOR EACH ROW WHEN (not pike.writer_is_sync())');
    end loop;
    -- and so for kinds of records that are added later
    execute replace(pg_get_functiondef('economic.add_entity'::regproc), 'for each row execute',
                    'for each row when (not pike.writer_is_sync()) execute');
end
$$;
