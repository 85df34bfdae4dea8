"""Puts the requests that come in on standard input, one a line, into Celery's queue as tasks."""

import sys

from tests.benchmarks.events.peer_celery import app

with app.producer_or_acquire() as producer:
    for line in sys.stdin:
        app.send_task("bench.refresh", (line,), producer=producer, queue="bench.celery")
