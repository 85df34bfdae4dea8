"""Every metric of a worker's own process, in one table. Names follow OpenTelemetry's messaging conventions where they
exist (Prometheus spelling), the rest begins with ``pike_economic_``. Labels are small closed sets, never ids.

What all workers share (queues of work in Postgres, dead letters, …) is in ``worker.ops.figures``.
"""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.version import commit, version

REGISTRY = CollectorRegistry(auto_describe=True)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
WAITS = (0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)
"""Upper bounds of critical times in seconds; the last class is open. Samples in Postgres use the same."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

CONSUMED = Counter(
    "messaging_client_consumed_messages",
    "Deliveries that came to an end, by lane, event type and outcome.",
    ("lane", "event_type", "outcome"),
    registry=REGISTRY,
)
PROCESS_DURATION = Histogram(
    "messaging_process_duration_seconds",
    "Time from taking up a delivery to its verdict.",
    ("lane", "event_type"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
CRITICAL_TIME = Histogram(
    "pike_economic_critical_time_seconds",
    "Time from the first receipt of an event to its final outcome, waits and retries included.",
    ("event_type",),
    buckets=WAITS,
    registry=REGISTRY,
)
SET_ASIDE = Counter(
    "pike_economic_set_aside_messages",
    "Messages moved to the overflow, because their workspace had more under way than its share.",
    ("lane",),
    registry=REGISTRY,
)
SENT = Counter(
    "messaging_client_sent_messages",
    "Messages from the outbox, by what the broker said: confirmed, unroutable, failed.",
    ("result",),
    registry=REGISTRY,
)
BUILD = Gauge(
    "pike_economic_build_info",
    "Which version runs, and of which commit (empty in a checkout); always 1.",
    ("version", "commit"),
    registry=REGISTRY,
)
BUILD.labels(version(), commit()).set(1)
IN_WORK = Gauge("pike_economic_deliveries_in_work", "Deliveries being worked on now.", registry=REGISTRY)
CONSUMERS = Gauge(
    "pike_economic_consumer_attached",
    "1 when this worker has a live consumer on the lane's queue.",
    ("lane",),
    registry=REGISTRY,
)
API_CALLS = Counter(
    "pike_economic_api_calls",
    "Calls to e-conomic by endpoint family and class of the answer: 2xx, 401, 4xx, 429, 5xx, none.",
    ("family", "answer"),
    registry=REGISTRY,
)
API_DURATION = Histogram(
    "pike_economic_api_call_duration_seconds",
    "Duration of one call to e-conomic.",
    ("family",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
API_COST = Counter(
    "pike_economic_api_cost_tokens", "Tokens that calls cost, as e-conomic states them (X-CallCost).", registry=REGISTRY
)
IMPORT_ROWS = Counter(
    "pike_economic_import_rows",
    "Records of completed imports, by kind and what became of them.",
    ("entity", "result"),
    registry=REGISTRY,
)
HOOK_CALLS = Counter(
    "pike_economic_hook_calls",
    "Webhook calls, by what was answered: accepted, refused (secret or connection), malformed, too_large, unavailable.",
    ("outcome",),
    registry=REGISTRY,
)
HOOK_DURATION = Histogram(
    "pike_economic_hook_duration_seconds",
    "Time from a webhook call's headers to its answer.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
SYNC_ROUNDS = Counter(
    "pike_economic_sync_rounds",
    "Rounds of the schedule that ended, by mode (changes, full) and how: completed, failed, cancelled, skipped.",
    ("mode", "outcome"),
    registry=REGISTRY,
)
CLAIM_BATCH = Histogram(
    "pike_economic_claim_batch_events", "Events claimed in one statement.", buckets=_SIZES, registry=REGISTRY
)
COMMIT_BATCH = Histogram(
    "pike_economic_commit_batch_events", "Events finished in one commit.", buckets=_SIZES, registry=REGISTRY
)
BUDGET_LEFT = Gauge(
    "pike_economic_budget_left_ratio",
    "Share of e-conomic's budget left to the agreement that has least, of those called just now; 1 when none was.",
    registry=REGISTRY,
)
PRUNED = Counter(
    "pike_economic_pruned_rows",
    "Rows that were kept long enough and removed, by table.",
    ("table",),
    registry=REGISTRY,
)
STORE_UP = Gauge(
    "pike_economic_store_up", "1 when Postgres answered this worker when it was last asked.", registry=REGISTRY
)
LOOP_LAG = Gauge(
    "pike_economic_loop_lag_seconds", "How late the event loop was in the last seconds, at worst.", registry=REGISTRY
)


# Looking a child up by its labels costs more than counting; label sets are small and closed, so all are kept.
consumed = cache(CONSUMED.labels)
process_duration = cache(PROCESS_DURATION.labels)
critical_time = cache(CRITICAL_TIME.labels)
sent = cache(SENT.labels)
set_aside = cache(SET_ASIDE.labels)
hook_calls = cache(HOOK_CALLS.labels)
api_calls = cache(API_CALLS.labels)
api_duration = cache(API_DURATION.labels)


def answer_class(status: int | None) -> str:
    """Return the class that an answer is counted under."""
    if status is None:
        return "none"
    return str(status) if status in (401, 429) else f"{status // 100}xx"
