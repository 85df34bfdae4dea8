-- Pike makes rows of its own; what ties a row to e-conomic, and which workspace it is in, only the sync says (R30, R31).
-- Links between rows stay within a workspace. Only additions: a worker of the version before does not notice them.

create function pike.refuse_foreign_identity() returns trigger
language plpgsql as $$
declare
    what   text   := tg_argv[0];
    ruled  text[] := string_to_array(tg_argv[1], ',');   -- columns that only the sync fills; null or false otherwise
    row    jsonb;
    fields text[];
begin
    if pike.writer_is_sync() then
        return new;
    end if;
    row := to_jsonb(new);
    if tg_op = 'INSERT' then
        select array_agg(name order by name) into fields from unnest(ruled) as name
        where row -> name not in ('null'::jsonb, 'false'::jsonb);
    else
        select array_agg(name order by name) into fields from unnest(ruled || array['id', 'workspace_id']) as name
        where row -> name is distinct from to_jsonb(old) -> name;
    end if;
    if fields is not null then
        raise exception using errcode = 'PE001',
            message = format('%s %s: %s can only be set by the e-conomic sync.', initcap(what), new.id, array_to_string(fields, ', ')),
            hint = format('Leave these columns as they are. Import or refresh the %s to link it with e-conomic.', what);
    end if;
    if tg_table_name = 'invoices' and row ->> 'customer_id' is not null and not exists (
        select 1 from pike.customers c where c.id = (row ->> 'customer_id')::uuid and c.workspace_id = new.workspace_id
    ) then
        raise exception using errcode = 'PE001',
            message = format('Invoice %s: its customer is not a customer of this workspace.', new.id),
            hint = 'Choose a customer of the same workspace.';
    end if;
    return new;
end
$$;

create trigger products_own before insert or update on pike.products
    for each row execute function pike.refuse_foreign_identity('product', 'agreement_number,external_number,locked,last_synced_at');
create trigger invoices_own before insert or update on pike.invoices
    for each row execute function pike.refuse_foreign_identity('invoice', 'agreement_number,external_number,locked,last_synced_at,booked_number,draft_number');
-- A person may link a customer with another number of e-conomic's (R32); making one that looks synced is something else.
create trigger customers_own before insert on pike.customers
    for each row execute function pike.refuse_foreign_identity('customer', 'agreement_number,external_number,locked,last_synced_at');
create trigger customers_stay before update on pike.customers
    for each row execute function pike.refuse_foreign_identity('customer', 'locked,last_synced_at');

create function pike.refuse_foreign_product() returns trigger
language plpgsql as $$
begin
    if not pike.writer_is_sync() and new.product_id is not null and not exists (
        select 1 from pike.products p join pike.invoices i on i.workspace_id = p.workspace_id
        where p.id = new.product_id and i.id = new.invoice_id
    ) then
        raise exception using errcode = 'PE001',
            message = format('Line %s of invoice %s: its product is not a product of this workspace.', new.position, new.invoice_id),
            hint = 'Choose a product of the same workspace.';
    end if;
    return new;
end
$$;
create trigger invoice_lines_own before insert or update on pike.invoice_lines
    for each row execute function pike.refuse_foreign_product();
