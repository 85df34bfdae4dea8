-- What the console's lists, reports and buttons stand on. Indexes are built plainly: their tables are locked meanwhile,
-- which is fine before the first release; on a table in use, build them by hand "concurrently" before migrating.

-- A request that an operator made on a page. The form carries the id, so that pressing twice asks once; the page finds
-- by it what became of the request.
create table economic.operator_requests (
    event_id     uuid        primary key,
    workspace_id text        not null,
    type         text        not null,
    operator     text        not null,
    at           timestamptz not null default now()
);
create index operator_requests_workspace on economic.operator_requests (workspace_id, at);

-- Lists are paged by key: the last row of one page is where the next begins. Only the beginning of a name is in the
-- index, because a name may be longer than an index row can be.
create index products_by_name on pike.products (workspace_id, lower(left(name, 60)), id);
create index customers_by_name on pike.customers (workspace_id, lower(left(name, 60)), id);
create index products_problem on pike.products (workspace_id, lower(left(name, 60)), id) where last_problem is not null;
create index customers_problem on pike.customers (workspace_id, lower(left(name, 60)), id) where last_problem is not null;

-- Invoices come newest first, those without a date before all others.
create index invoices_by_day on pike.invoices (workspace_id, (coalesce(issue_date, 'infinity'::date)), id);
create index invoices_of_customer on pike.invoices (customer_id, (coalesce(issue_date, 'infinity'::date)), id);
create index invoices_unsettled on pike.invoices (workspace_id, status, (coalesce(issue_date, 'infinity'::date)), id)
    where status <> 'paid';
create index invoices_problem on pike.invoices (workspace_id, (coalesce(issue_date, 'infinity'::date)), id)
    where last_problem is not null;
drop index pike.invoices_workspace_date;   -- superseded by invoices_by_day
drop index pike.invoices_customer;         -- superseded by invoices_of_customer

-- Reports read these from the index alone, a stretch of dates at a time.
create index invoices_revenue on pike.invoices (workspace_id, issue_date)
    include (customer_id, currency, net_amount, vat_amount, gross_amount)
    where status in ('booked', 'paid') and active;
create index invoices_owed on pike.invoices (workspace_id, due_date) include (currency, remainder)
    where status = 'booked' and remainder <> 0 and active;
create index invoices_of_project on pike.invoices (workspace_id, project_id)
    include (currency, status, net_amount, remainder, issue_date)
    where project_id is not null and active;
drop index pike.invoices_project;          -- superseded by invoices_of_project

create index imports_history on economic.imports (workspace_id, started_at, id);
create index dead_letters_workspace on economic.dead_letters (workspace_id, cause) where state = 'open';
create index customer_matches_open on economic.customer_matches (workspace_id) where state = 'open';

-- pike_reporting.revenue_by_month and top_customers for a stretch of days, "until" not included: reading a year costs the
-- same however many years there are. The reader's rights and row-level security apply.
create function pike_reporting.revenue_between(workspace text, since date, until date)
returns table (month date, currency text, invoices bigint, net numeric, vat numeric, gross numeric)
language sql stable as $$
    select date_trunc('month', issue_date::timestamp)::date, currency,
           count(*), sum(net_amount), sum(vat_amount), sum(gross_amount)
    from pike.invoices
    where workspace_id = workspace and issue_date >= since and issue_date < until
      and status in ('booked', 'paid') and active
    group by 1, 2
$$;

-- The first "most" of each currency, all where it is null; ranking everybody would sort everybody.
create function pike_reporting.top_customers_between(workspace text, since date, until date, most int)
returns table (customer_id uuid, currency text, invoices bigint, net numeric, last_invoice date, place bigint)
language sql stable as $$
    with sums as materialized (
        select customer_id, currency, count(*) as invoices, sum(net_amount) as net, max(issue_date) as last_invoice
        from pike.invoices
        where workspace_id = workspace and issue_date >= since and issue_date < until
          and status in ('booked', 'paid') and active and customer_id is not null
        group by customer_id, currency
    )
    select best.*, rank() over (partition by best.currency order by best.net desc)
    from (select distinct currency from sums) known
    cross join lateral (
        select * from sums where sums.currency is not distinct from known.currency order by net desc limit most
    ) best
$$;
