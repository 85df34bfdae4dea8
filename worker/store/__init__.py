"""Postgres: everything the worker remembers, and Pike's read model."""
