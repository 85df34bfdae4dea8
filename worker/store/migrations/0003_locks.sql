-- R30, R31: what comes from e-conomic is not edited in Pike, by whatever way: API, bulk edit, CSV, SQL.
-- The worker's own connections say so in a session setting; everybody else meets the triggers.

create function pike.writer_is_sync() returns boolean
language sql stable as $$ select coalesce(current_setting('pike_economic.writer', true), '') = 'worker' $$;

-- Columns that an editor changed although e-conomic rules them. old_row/new_row as jsonb keeps one function for all tables.
create function pike.changed_columns(old_row jsonb, new_row jsonb, editable text[]) returns text[]
language sql immutable as $$
    select coalesce(array_agg(n.key order by n.key), '{}')
    from jsonb_each(new_row) n
    where n.value is distinct from old_row -> n.key and n.key <> all (editable)
$$;

create function pike.refuse_locked_change() returns trigger
language plpgsql as $$
declare
    what     text := tg_argv[0];
    editable text[] := string_to_array(tg_argv[1], ',');
    fields   text[];
    frozen   boolean;
begin
    if pike.writer_is_sync() then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    frozen := old.locked;
    if tg_table_name = 'invoices' then
        frozen := frozen or to_jsonb(old) ->> 'status' = 'outcome_unknown';
    end if;
    if not frozen then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    if tg_op = 'DELETE' then
        raise exception using errcode = 'PE001',
            message = format('%s %s is in e-conomic and cannot be deleted in Pike.', initcap(what), coalesce(old.external_number, old.id::text)),
            hint = format('Delete or bar the %s in e-conomic; the next import shows it in Pike.', what);
    end if;
    fields := pike.changed_columns(to_jsonb(old), to_jsonb(new), editable);
    if cardinality(fields) > 0 then
        raise exception using errcode = 'PE001',
            message = format('%s %s is in e-conomic and cannot be edited in Pike: %s.', initcap(what), coalesce(old.external_number, old.id::text), array_to_string(fields, ', ')),
            hint = format('Change the %s in e-conomic and press Refresh.', what);
    end if;
    return new;
end
$$;

-- Activating and deactivating a product is Pike's own business (R30).
create trigger products_locked before update or delete on pike.products
    for each row execute function pike.refuse_locked_change('product', 'active,updated_at');
-- The project is a person's own note on an invoice (R31).
create trigger invoices_locked before update or delete on pike.invoices
    for each row execute function pike.refuse_locked_change('invoice', 'project_id,updated_at');

create function pike.refuse_locked_line() returns trigger
language plpgsql as $$
declare
    parent pike.invoices;
begin
    if not pike.writer_is_sync() then
        for parent in
            select * from pike.invoices i
            where i.id in (case when tg_op <> 'INSERT' then old.invoice_id end, case when tg_op <> 'DELETE' then new.invoice_id end)
              and (i.locked or i.status = 'outcome_unknown')
        loop
            raise exception using errcode = 'PE001',
                message = format('Invoice %s is in e-conomic and its lines cannot be edited in Pike.', coalesce(parent.external_number, parent.id::text)),
                hint = 'Change the invoice in e-conomic and press Refresh.';
        end loop;
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;
create trigger invoice_lines_locked before insert or update or delete on pike.invoice_lines
    for each row execute function pike.refuse_locked_line();
