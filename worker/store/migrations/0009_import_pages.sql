-- Which records each page of a running import had. A record that is as e-conomic has it is not written again, so the
-- rows alone do not tell any more what a sweep has met; what none of its pages had is gone. Emptied when it ends.
create table economic.import_pages (
    import_id uuid   not null references economic.imports (id) on delete cascade,
    stage     text   not null,
    page      int    not null,
    numbers   text[] not null,
    primary key (import_id, stage, page)
);

-- Where a stretch-wise reading of a long list goes on at the next import.
create table economic.sync_marks (
    workspace_id     text not null,
    agreement_number int  not null,
    mark             text not null,
    value            text not null,
    primary key (workspace_id, agreement_number, mark)
);

-- What a preview found (B5).
create table economic.import_preview (
    id              bigint generated always as identity primary key,
    import_id       uuid   not null references economic.imports (id) on delete cascade,
    entity          text   not null,
    action          text   not null check (action in ('create', 'change', 'deactivate')),
    record_id       uuid,
    external_number text,
    changes         jsonb  not null
);
create index import_preview_import on economic.import_preview (import_id, id);
