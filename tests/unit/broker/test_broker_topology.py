"""The topology table: what the guarantees rest on is in it, and nothing else."""

import pytest

from worker.broker.connection import Address
from worker.broker.declare import explain_mismatch
from worker.broker.delivery import Lane
from worker.broker.topology import (
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    EVENTS_EXCHANGE,
    INTERNAL_EXCHANGE,
    LANE_QUEUES,
    Binding,
    Exchange,
    build_topology,
    rung_label,
)

TOPOLOGY = build_topology(
    ["pike.invoice.created", "pike.refresh.requested"], ["pike.import.requested", "pike-economic.import.continue"]
)
QUEUES = {queue.name: queue.arguments for queue in TOPOLOGY.queues}


def test_the_shared_exchange_is_declared_as_the_contract_says() -> None:
    assert Exchange(EVENTS_EXCHANGE, "topic") in TOPOLOGY.exchanges


def test_every_queue_that_dead_letters_does_so_at_least_once() -> None:
    """At-least-once needs a quorum queue with reject-publish; otherwise the broker falls back silently."""
    for name, arguments in QUEUES.items():
        assert arguments["x-queue-type"] == "quorum", name
        if "x-dead-letter-exchange" in arguments:
            assert arguments["x-dead-letter-strategy"] == "at-least-once", name
            assert arguments["x-overflow"] == "reject-publish", name
    assert "x-dead-letter-exchange" not in QUEUES[DEAD_QUEUE]


def test_no_queue_throws_messages_away() -> None:
    for name, arguments in QUEUES.items():
        assert not {"x-max-length", "x-max-length-bytes", "x-expires"} & set(arguments), name
        if "x-message-ttl" in arguments:
            assert arguments["x-dead-letter-exchange"] == INTERNAL_EXCHANGE, name
            assert "x-dead-letter-routing-key" not in arguments, name
    assert QUEUES[DEAD_QUEUE]["x-delivery-limit"] > 1_000_000  # type: ignore[operator]


def test_a_lane_gives_up_a_message_into_the_dead_queue_after_twenty_deliveries() -> None:
    for queue in LANE_QUEUES.values():
        assert QUEUES[queue]["x-delivery-limit"] == 20
        assert QUEUES[queue]["x-dead-letter-exchange"] == DEAD_EXCHANGE
    assert Binding(DEAD_QUEUE, DEAD_EXCHANGE, "") in TOPOLOGY.bindings


def test_types_are_bound_to_both_exchanges_and_internal_ones_to_the_internal_alone() -> None:
    bulk = {(b.exchange, b.routing_key) for b in TOPOLOGY.bindings if b.queue == LANE_QUEUES[Lane.BULK]}
    assert bulk == {
        (EVENTS_EXCHANGE, "pike.import.requested"),
        (INTERNAL_EXCHANGE, "pike.import.requested"),
        (INTERNAL_EXCHANGE, "pike-economic.import.continue"),
        (INTERNAL_EXCHANGE, LANE_QUEUES[Lane.BULK]),
    }


@pytest.mark.parametrize(
    ("delay_s", "rung"), [(0, "5s"), (5, "5s"), (5.1, "30s"), (121, "10m"), (3600, "1h"), (999_999, "1h")]
)
def test_the_rung_is_the_shortest_that_waits_long_enough(delay_s: float, rung: str) -> None:
    assert TOPOLOGY.rung_for(delay_s).name == f"pike-economic.wait.{rung}"


def test_the_name_of_a_wait_queue_tells_its_time_to_live() -> None:
    ladder = {rung.name: QUEUES[rung.name]["x-message-ttl"] for rung in TOPOLOGY.rungs}
    assert ladder == {
        "pike-economic.wait.5s": 5_000,
        "pike-economic.wait.30s": 30_000,
        "pike-economic.wait.2m": 120_000,
        "pike-economic.wait.10m": 600_000,
        "pike-economic.wait.1h": 3_600_000,
    }
    assert rung_label(0.05) == "50ms"
    assert rung_label(90) == "90s"


def test_a_key_that_no_lane_is_bound_for_returns_under_the_name_of_the_queue() -> None:
    assert TOPOLOGY.return_key("pike.invoice.created", Lane.WORK) == "pike.invoice.created"
    assert TOPOLOGY.return_key("pike.bill.created", Lane.WORK) == LANE_QUEUES[Lane.WORK]
    assert TOPOLOGY.return_key("pike.invoice.created", Lane.BULK) == LANE_QUEUES[Lane.BULK]


@pytest.mark.parametrize(
    ("work", "bulk", "ladder"),
    [
        (["a"], ["a"], [1]),
        (["pike.*"], [], [1]),
        (["#"], [], [1]),
        ([""], [], [1]),
        (["x" * 256], [], [1]),
        (["a"], [], []),
        (["a"], [], [0]),
        (["a"], [], [60, 60.0001]),
    ],
)
def test_a_table_that_cannot_work_is_refused(work: list[str], bulk: list[str], ladder: list[float]) -> None:
    with pytest.raises(ValueError, match=r"lanes|routing key|ladder"):
        build_topology(work, bulk, ladder)


ADDRESS = Address.parse("amqp://pike:hunter2@mq.example:5672/")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'pike-economic.wait.5s' in vhost '/'"
                ": received '5000' but current is '7000'"
            ),
            ["queue 'pike-economic.wait.5s'", "x-message-ttl is 7000, needed is 5000", "delete_queue"],
        ),
        (
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'pike-economic.work' in vhost '/'"
                ": received the value '20' of type 'byte' but current is none"
            ),
            ["x-delivery-limit is not set, needed is 20"],
        ),
        (
            (
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'pike-economic.dead' in vhost 'a b': "
                "received 'fanout' but current is 'topic'"
            ),
            ["exchange 'pike-economic.dead'", "type is topic, needed is fanout", "delete the exchange"],
        ),
        (
            (
                "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'pike.events' in vhost '/': "
                "received 'true' but current is 'false'"
            ),
            ["durable is false, needed is true", "shared with Pike"],
        ),
        ("PRECONDITION_FAILED - something new", ["PRECONDITION_FAILED - something new"]),
    ],
)
def test_a_mismatch_is_told_as_found_needed_and_what_to_do(said: str, words: list[str]) -> None:
    text = explain_mismatch(said, ADDRESS)
    for part in [*words, "mq.example:5672"]:
        assert part in text
    assert "hunter2" not in text
