-- Views for Pike's reports and dashboard (R2). Amounts are in each document's own currency: never added across currencies.

create schema pike_reporting;

create view pike_reporting.revenue_by_month as
select workspace_id, date_trunc('month', issue_date)::date as month, currency,
       count(*) as invoices, sum(net_amount) as net, sum(vat_amount) as vat, sum(gross_amount) as gross
from pike.invoices
where status in ('booked', 'paid') and active
group by workspace_id, date_trunc('month', issue_date), currency;

create view pike_reporting.receivables as
select workspace_id, currency,
       count(*) as invoices,
       sum(remainder) as outstanding,
       coalesce(sum(remainder) filter (where due_date < current_date), 0) as overdue,
       coalesce(sum(remainder) filter (where current_date - due_date between 1 and 30), 0) as overdue_1_30,
       coalesce(sum(remainder) filter (where current_date - due_date between 31 and 60), 0) as overdue_31_60,
       coalesce(sum(remainder) filter (where current_date - due_date between 61 and 90), 0) as overdue_61_90,
       coalesce(sum(remainder) filter (where current_date - due_date > 90), 0) as overdue_over_90
from pike.invoices
where status = 'booked' and remainder <> 0 and active
group by workspace_id, currency;

create view pike_reporting.top_customers as
select i.workspace_id, i.customer_id, c.name, i.currency,
       count(*) as invoices, sum(i.net_amount) as net, max(i.issue_date) as last_invoice,
       rank() over (partition by i.workspace_id, i.currency order by sum(i.net_amount) desc) as place
from pike.invoices i join pike.customers c on c.id = i.customer_id
where i.status in ('booked', 'paid') and i.active
group by i.workspace_id, i.customer_id, c.name, i.currency;

create view pike_reporting.customer_context as
select c.workspace_id, c.id as customer_id, c.name, c.active, c.barred, i.currency,
       count(i.id) filter (where i.status in ('booked', 'paid')) as invoices,
       count(i.id) filter (where i.status = 'draft') as drafts,
       coalesce(sum(i.net_amount) filter (where i.status in ('booked', 'paid')), 0) as net,
       coalesce(sum(i.remainder) filter (where i.status = 'booked'), 0) as outstanding,
       coalesce(sum(i.remainder) filter (where i.status = 'booked' and i.due_date < current_date), 0) as overdue,
       max(i.issue_date) as last_invoice, c.last_synced_at
from pike.customers c left join pike.invoices i on i.customer_id = c.id and i.active
group by c.workspace_id, c.id, c.name, c.active, c.barred, i.currency, c.last_synced_at;

create view pike_reporting.project_context as
select workspace_id, project_id, currency,
       count(*) as invoices,
       coalesce(sum(net_amount) filter (where status in ('booked', 'paid')), 0) as net,
       coalesce(sum(net_amount) filter (where status in ('pending', 'draft', 'failed', 'outcome_unknown')), 0) as not_yet_booked,
       coalesce(sum(remainder) filter (where status = 'booked'), 0) as outstanding,
       max(issue_date) as last_invoice
from pike.invoices
where project_id is not null and active
group by workspace_id, project_id, currency;

create view pike_reporting.sync_status as
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
group by workspace_id, entity;
