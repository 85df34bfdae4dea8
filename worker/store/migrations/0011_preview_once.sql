-- A preview writes nothing, so a record that the closing sweep meets again would be foreseen twice: it is one row per
-- list and record, and the counts of a preview are counted from these rows. Drafts and booked invoices have numbers
-- of their own each, hence the list.
delete from economic.import_preview;
alter table economic.import_preview add column list text not null;
create unique index import_preview_record
    on economic.import_preview (import_id, list, entity, coalesce(record_id::text, external_number, ''));
