"""The seeded simulation (B16): the real runtime, adapters in memory, virtual time, and a seed that rules them all."""
