"""The same job on Celery: prefork, acks_late, psycopg and requests; completion by kombu with confirms."""

import os

import psycopg
import requests
from celery import Celery
from celery.signals import worker_process_init
from kombu import Exchange, Queue

from tests.benchmarks.events import peer_job as job

app = Celery("bench", broker=os.environ["PIKE_ECONOMIC_AMQP_URL"].replace("amqp://", "pyamqp://"))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    broker_transport_options={"confirm_publish": True},
    worker_detect_quorum_queues=True,
    broker_heartbeat=0,
    task_queues=[
        Queue("bench.celery", Exchange(""), routing_key="bench.celery", queue_arguments={"x-queue-type": "quorum"})
    ],
    task_default_queue="bench.celery",
    broker_connection_retry_on_startup=True,
)
p = ["%s"] * 8
INBOX, UPSERT = job.INBOX.format(*p), job.UPSERT.format(*p)
OUTBOX, OUTBOX_DELETE = job.OUTBOX.format(*p), job.OUTBOX_DELETE.format(*p)
state: dict[str, object] = {}


@worker_process_init.connect
def start(**_: object) -> None:
    """Open one connection of each kind per process."""
    state["db"] = psycopg.connect(os.environ["PIKE_ECONOMIC_DATABASE_URL"], autocommit=True)
    state["http"] = requests.Session()
    connection = app.connection_for_write(transport_options={"confirm_publish": True})
    state["producer"] = connection.Producer()


@app.task(name="bench.refresh")
def refresh(text: str) -> None:
    """Do the job."""
    event = job.Event.model_validate_json(text)
    db, http, producer = state["db"], state["http"], state["producer"]
    url = f"{os.environ['PIKE_ECONOMIC_LEGACY_URL']}/customers/{event.data.external_number}"
    answer = http.get(url, headers={"X-AppSecretToken": "x", "X-AgreementGrantToken": "y"}, timeout=30)  # type: ignore[attr-defined]
    customer = job.Customer.model_validate_json(answer.content)
    event_id, body = job.completion(event)
    with db.transaction():  # type: ignore[attr-defined]
        if db.execute(INBOX, (event.id,)).rowcount == 0:  # type: ignore[attr-defined]
            return
        db.execute(UPSERT, job.values(customer))  # type: ignore[attr-defined]
        row = db.execute(OUTBOX, (event_id, body)).fetchone()[0]  # type: ignore[attr-defined]
    producer.publish(  # type: ignore[attr-defined]
        body, exchange="pike.events", routing_key="economic.refresh.completed", mandatory=True, delivery_mode=2,
        content_type="application/cloudevents+json", content_encoding="utf-8", message_id=event_id,
    )  # fmt: skip
    db.execute(OUTBOX_DELETE, (row,))  # type: ignore[attr-defined]
