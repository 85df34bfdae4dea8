"""Seeded simulation (B16): the real runtime against in-memory adapters, virtual time and a scheduler that a seed rules."""
