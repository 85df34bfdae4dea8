-- Verdicts of the zero-loss proof (B2), for metrics and alerts. Only additions.
create table economic.reconciliations (
    id     bigint      generated always as identity primary key,
    at     timestamptz not null default now(),
    lost   int         not null,
    double int         not null
);
