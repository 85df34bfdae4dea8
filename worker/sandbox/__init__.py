"""A faithful local e-conomic for tests, demos and other teams: both APIs, consent page, faults on purpose.

It shares no code with the worker that it tests. State is in memory and deterministic from a seed.
"""

from worker.sandbox.agreement import Agreement
from worker.sandbox.faults import FaultRule, Faults
from worker.sandbox.records import SeedSize
from worker.sandbox.sandbox import Sandbox
from worker.sandbox.serve import ready_lines, serve
from worker.sandbox.world import RequestRecord, grant_hash

__all__ = [
    "Agreement",
    "FaultRule",
    "Faults",
    "RequestRecord",
    "Sandbox",
    "SeedSize",
    "grant_hash",
    "ready_lines",
    "serve",
]
