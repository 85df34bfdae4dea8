-- The locks let the sync pass before they are called, not after: a third of what writing a row cost. Functions keep their own
-- look at who writes, and a trigger that somebody switched off or set to "always" stays as it is. Nothing is written, and
-- nobody notices.
do $$
declare
    definition text;
    passing    constant text := 'for each row when (not pike.writer_is_sync()) execute';
begin
    for definition in
        select pg_get_triggerdef(oid) from pg_trigger
        where not tgisinternal and tgqual is null and tgenabled = 'O'
          and tgfoid in ('pike.refuse_locked_change'::regproc, 'pike.refuse_foreign_identity'::regproc,
                         'pike.refuse_locked_line'::regproc, 'pike.refuse_foreign_product'::regproc)
    loop
        definition := replace(definition, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER');
        execute replace(definition, 'FOR EACH ROW EXECUTE', passing);
    end loop;
    -- and so for kinds of records that are added later
    definition := pg_get_functiondef('economic.add_entity'::regproc);
    if position('for each row execute' in definition) = 0 then
        raise exception 'economic.add_entity is not as migration 0016 made it: put "%" into its triggers by hand', passing;
    end if;
    execute replace(definition, 'for each row execute', passing);
end
$$;
