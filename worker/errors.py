"""The error tree. Adapters and handlers raise these; only ``runtime.judge`` decides what follows.

WorkerError
├── SettingsError          a setting is missing or wrong: the start stops, exit code 2
├── SchemaMismatch         database or broker is not as this version needs it: the start stops
├── Transient              passes by itself
│   ├── Unavailable        e-conomic does not answer as it should; an attempt is spent
│   └── RateLimited        e-conomic asks to wait; no attempt is spent
├── NotYet                 something else must come first; no attempt is spent, bounded by age
├── Held                   the agreement may not be called now; no attempt is spent
├── GrantRevoked           401: the workspace is held until a person reconnects
├── Refused                e-conomic or we cannot accept this: dead letter and a failed event
├── OutcomeUnknown         a write may or may not have happened: frozen until looked up
├── StoreUnavailable       Postgres is away: nothing is acknowledged
└── BrokerError
    ├── BrokerUnavailable  RabbitMQ is away or did not confirm
    └── Unroutable         the exchange had no queue for the message

An exception text never holds a token. ``Problem`` is what people see; ``str(error)`` is for engineers.
"""

from schemas.problem import Cause, EconomicDetail, Problem


class WorkerError(Exception):
    """Base of everything the worker raises on purpose."""


class SettingsError(WorkerError):
    """A setting is missing or wrong. The text names it and says what to do."""


class SchemaMismatch(WorkerError):
    """The database or the broker's topology differs from what this version needs. The text says how."""


class WithProblem(WorkerError):
    """An error that can explain itself to a person in Pike."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        self.problem = problem
        super().__init__(detail or problem.user_message)


class Transient(WithProblem):
    """Trouble that passes by itself. ``retry_after_s`` is what the other side asked for, if it did."""

    def __init__(self, problem: Problem, detail: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(problem, detail)
        self.retry_after_s = retry_after_s


class Unavailable(Transient):
    """e-conomic is down, slow or answers rubbish. Spends an attempt."""


class RateLimited(Transient):
    """e-conomic asked us to slow down. Spends no attempt."""


class NotYet(WorkerError):
    """Something else must happen first; come back after ``delay_s`` seconds. Spends no attempt."""

    def __init__(self, reason: str, delay_s: float = 5.0) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


class Held(WithProblem):
    """The agreement may not be called now (breaker, budget); come back after ``delay_s`` seconds. Spends no attempt."""

    def __init__(self, problem: Problem, delay_s: float) -> None:
        super().__init__(problem)
        self.delay_s = delay_s


class GrantRevoked(WithProblem):
    """e-conomic no longer accepts the grant (401). Only reconnecting helps."""


class Refused(WithProblem):
    """The data cannot be accepted, by e-conomic or by us. Repeating changes nothing."""


class OutcomeUnknown(WithProblem):
    """A write was sent and its outcome could not be learned. Never repeated blindly (B1)."""


class StoreUnavailable(WorkerError):
    """Postgres cannot be reached or went away. Whether a commit happened may be unknown."""


class BrokerError(WorkerError):
    """Base of trouble with RabbitMQ."""


class BrokerUnavailable(BrokerError):
    """RabbitMQ is away, or did not confirm a publish. The message may or may not have arrived."""


class Unroutable(BrokerError):
    """The exchange knew no queue for the message; it was returned and is nowhere."""


def refused(
    cause: Cause,
    user_message: str,
    remedy: str,
    *,
    fields: list[str] | None = None,
    economic: EconomicDetail | None = None,
) -> Refused:
    """Make a ``Refused`` from its parts."""
    return Refused(
        Problem(
            cause=cause,
            user_message=user_message,
            remedy=remedy,
            fields=fields or [],
            economic=economic,
            final=True,
        )
    )
