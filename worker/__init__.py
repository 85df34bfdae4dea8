"""The worker: Pike's events in, e-conomic calls out, Postgres and completion events as the record."""
