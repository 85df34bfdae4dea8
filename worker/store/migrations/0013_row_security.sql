-- Readers of the read model see one workspace: the one they name in app.workspace (set local app.workspace = 'acme').
-- A session that names none sees nothing. Whoever owns the tables (the worker, pike-economic migrate), is a member of the
-- owner's role, or has BYPASSRLS is not restricted, and neither is a superuser.

-- Whether the session's role sees every workspace. The views ask it, because a view reads with its owner's rights and
-- Postgres 14 has no security_invoker; what current_user is does not change inside a view.
create function pike.sees_all_workspaces() returns boolean
language sql stable
begin atomic
    select not row_security_active('pike.customers'::regclass);
end;

alter table pike.products enable row level security;
create policy workspace on pike.products
    using (workspace_id = (select current_setting('app.workspace', true)));
alter table pike.customers enable row level security;
create policy workspace on pike.customers
    using (workspace_id = (select current_setting('app.workspace', true)));
alter table pike.tax_rates enable row level security;
create policy workspace on pike.tax_rates
    using (workspace_id = (select current_setting('app.workspace', true)));
alter table pike.invoices enable row level security;
create policy workspace on pike.invoices
    using (workspace_id = (select current_setting('app.workspace', true)));

-- A line is in the workspace of its invoice.
alter table pike.invoice_lines enable row level security;
create policy workspace on pike.invoice_lines
    using (exists (select 1 from pike.invoices i
                   where i.id = invoice_id and i.workspace_id = (select current_setting('app.workspace', true))));

-- The views of before, with the same columns. security_barrier: no condition of a reader's is tried on rows of others.

create or replace view pike_reporting.revenue_by_month with (security_barrier) as
select workspace_id, date_trunc('month', issue_date)::date as month, currency,
       count(*) as invoices, sum(net_amount) as net, sum(vat_amount) as vat, sum(gross_amount) as gross
from pike.invoices
where (workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
  and status in ('booked', 'paid') and active
group by workspace_id, date_trunc('month', issue_date), currency;

create or replace view pike_reporting.receivables with (security_barrier) as
select workspace_id, currency,
       count(*) as invoices,
       sum(remainder) as outstanding,
       coalesce(sum(remainder) filter (where due_date < current_date), 0) as overdue,
       coalesce(sum(remainder) filter (where current_date - due_date between 1 and 30), 0) as overdue_1_30,
       coalesce(sum(remainder) filter (where current_date - due_date between 31 and 60), 0) as overdue_31_60,
       coalesce(sum(remainder) filter (where current_date - due_date between 61 and 90), 0) as overdue_61_90,
       coalesce(sum(remainder) filter (where current_date - due_date > 90), 0) as overdue_over_90
from pike.invoices
where (workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
  and status = 'booked' and remainder <> 0 and active
group by workspace_id, currency;

create or replace view pike_reporting.top_customers with (security_barrier) as
select i.workspace_id, i.customer_id, c.name, i.currency,
       count(*) as invoices, sum(i.net_amount) as net, max(i.issue_date) as last_invoice,
       rank() over (partition by i.workspace_id, i.currency order by sum(i.net_amount) desc) as place
from pike.invoices i join pike.customers c on c.id = i.customer_id
where (i.workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
  and i.status in ('booked', 'paid') and i.active
group by i.workspace_id, i.customer_id, c.name, i.currency;

create or replace view pike_reporting.customer_context with (security_barrier) as
select c.workspace_id, c.id as customer_id, c.name, c.active, c.barred, i.currency,
       count(i.id) filter (where i.status in ('booked', 'paid')) as invoices,
       count(i.id) filter (where i.status = 'draft') as drafts,
       coalesce(sum(i.net_amount) filter (where i.status in ('booked', 'paid')), 0) as net,
       coalesce(sum(i.remainder) filter (where i.status = 'booked'), 0) as outstanding,
       coalesce(sum(i.remainder) filter (where i.status = 'booked' and i.due_date < current_date), 0) as overdue,
       max(i.issue_date) as last_invoice, c.last_synced_at
from pike.customers c left join pike.invoices i on i.customer_id = c.id and i.active
where (c.workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
group by c.workspace_id, c.id, c.name, c.active, c.barred, i.currency, c.last_synced_at;

create or replace view pike_reporting.project_context with (security_barrier) as
select workspace_id, project_id, currency,
       count(*) as invoices,
       coalesce(sum(net_amount) filter (where status in ('booked', 'paid')), 0) as net,
       coalesce(sum(net_amount) filter (where status in ('pending', 'draft', 'failed', 'outcome_unknown')), 0) as not_yet_booked,
       coalesce(sum(remainder) filter (where status = 'booked'), 0) as outstanding,
       max(issue_date) as last_invoice
from pike.invoices
where (workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
  and project_id is not null and active
group by workspace_id, project_id, currency;

create or replace view pike_reporting.sync_status with (security_barrier) as
select workspace_id, entity, count(*) as records,
       count(*) filter (where external_number is not null) as linked,
       count(*) filter (where last_problem is not null) as with_problem,
       max(last_synced_at) as last_synced_at, min(last_synced_at) as oldest_sync
from (
    select workspace_id, 'product' as entity, external_number, last_problem, last_synced_at from pike.products
    union all
    select workspace_id, 'customer', external_number, last_problem, last_synced_at from pike.customers
    union all
    select workspace_id, 'invoice', external_number, last_problem, last_synced_at from pike.invoices
) rows
where (workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
group by workspace_id, entity;

create or replace view pike_reporting.economic_tags with (security_barrier) as
select r.workspace_id, r.entity, r.id, r.agreement_number, r.external_number, r.last_synced_at
from (
    select workspace_id, 'product' as entity, id, agreement_number, external_number, last_synced_at from pike.products
    union all
    select workspace_id, 'customer', id, agreement_number, external_number, last_synced_at from pike.customers
    union all
    select workspace_id, 'invoice', id, agreement_number, external_number, last_synced_at from pike.invoices
) r
join economic.connections c on c.workspace_id = r.workspace_id and c.agreement_number = r.agreement_number
where (r.workspace_id = (select current_setting('app.workspace', true)) or (select pike.sees_all_workspaces()))
  and c.status <> 'closed' and r.external_number is not null;
