-- Pike's read model. Written by the worker, read by Pike; Pike may insert and edit rows of its own
-- (external_number null). Columns that e-conomic rules are guarded by triggers in 0003.

create schema pike;

create table pike.products (
    id                    uuid        primary key default gen_random_uuid(),
    workspace_id          text        not null,
    agreement_number      int,
    external_number       text,
    name                  text        not null,
    sku                   text,
    description           text,
    unit                  text,
    price                 numeric,
    currency              text,
    active                boolean     not null default true,
    barred                boolean     not null default false,   -- as e-conomic has it; a change of it moves "active"
    finance_account       int,
    deactivated_by_import uuid,
    vanished_at           timestamptz,                          -- no longer in e-conomic
    last_synced_at        timestamptz,
    last_attempt_at       timestamptz,
    last_problem          jsonb,
    locked                boolean     not null default false,
    synced_as_of          timestamptz,                          -- when the state in this row was read: newer wins
    updated_at            timestamptz not null default now(),
    unique (workspace_id, agreement_number, external_number)
);
create index products_workspace on pike.products (workspace_id) where external_number is null;

create table pike.customers (
    id                         uuid        primary key default gen_random_uuid(),
    workspace_id               text        not null,
    agreement_number           int,
    external_number            text,
    name                       text        not null,
    primary_contact_first_name text,
    primary_contact_last_name  text,
    primary_contact_full_name  text,
    primary_contact_email      text,
    primary_contact_address    text,
    address                    text,
    zip                        text,
    city                       text,
    country                    text,
    vat_number                 text,
    currency                   text,
    barred                     boolean     not null default false,
    active                     boolean     not null default true,
    vanished_at                timestamptz,
    last_synced_at             timestamptz,
    last_attempt_at            timestamptz,
    last_problem               jsonb,
    locked                     boolean     not null default false,
    synced_as_of               timestamptz,
    updated_at                 timestamptz not null default now(),
    unique (workspace_id, agreement_number, external_number)
);
create index customers_workspace on pike.customers (workspace_id) where external_number is null;

create table pike.tax_rates (
    id               uuid        primary key default gen_random_uuid(),
    workspace_id     text        not null,
    agreement_number int,
    external_number  text,
    name             text        not null,
    vat_code         text,
    rate             numeric     not null,
    last_synced_at   timestamptz,
    last_attempt_at  timestamptz,
    last_problem     jsonb,
    locked           boolean     not null default false,
    synced_as_of     timestamptz,
    updated_at       timestamptz not null default now(),
    unique (workspace_id, agreement_number, name, rate)
);

create table pike.invoices (
    id               uuid        primary key default gen_random_uuid(),
    workspace_id     text        not null,
    agreement_number int,
    external_number  text,
    title            text        not null,
    status           text        not null default 'pending'
                     check (status in ('pending', 'draft', 'booked', 'paid', 'failed', 'outcome_unknown')),
    customer_id      uuid        references pike.customers (id),
    customer_number  text,                        -- e-conomic's number, kept when no Pike customer is linked yet
    issue_date       date,
    due_date         date,
    currency         text,
    net_amount       numeric,
    vat_amount       numeric,
    gross_amount     numeric,
    remainder        numeric,
    is_credit_note   boolean     not null default false,
    booked_number    int,
    draft_number     int,
    project_id       text,                        -- a person's; no import or refresh ever writes it (R2)
    active           boolean     not null default true,
    vanished_at      timestamptz,
    lines_hash       bytea,                       -- of the lines as last written: unchanged lines cost no write
    last_synced_at   timestamptz,
    last_attempt_at  timestamptz,
    last_problem     jsonb,
    locked           boolean     not null default false,
    synced_as_of     timestamptz,
    updated_at       timestamptz not null default now()
);
-- A draft 485 and a booked invoice 485 are two documents: which series a number belongs to is part of its identity.
create unique index invoices_external on pike.invoices
    (workspace_id, agreement_number, external_number, (booked_number is not null));
create index invoices_draft on pike.invoices (workspace_id, agreement_number, draft_number) where draft_number is not null;
create index invoices_customer on pike.invoices (customer_id);
create index invoices_workspace_date on pike.invoices (workspace_id, issue_date);
create index invoices_project on pike.invoices (workspace_id, project_id) where project_id is not null;

create table pike.invoice_lines (
    id                        uuid    primary key default gen_random_uuid(),
    invoice_id                uuid    not null references pike.invoices (id) on delete cascade,
    position                  int     not null,
    product_id                uuid    references pike.products (id),
    description               text,
    quantity                  numeric,
    unit_price                numeric,
    discount_percent          numeric,
    net_amount                numeric,
    vat_amount                numeric,
    tax_rate_id               uuid    references pike.tax_rates (id),
    finance_account           int,
    finance_account_requested int,
    unique (invoice_id, position)
);
create index invoice_lines_product on pike.invoice_lines (product_id) where product_id is not null;
