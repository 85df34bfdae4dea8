"""What is raised when a message cannot be read as an event."""

from collections.abc import Mapping
from types import MappingProxyType

from schemas.problem import Cause, Problem


class MalformedEvent(ValueError):
    """The message is not an event that this version can read. Repeating changes nothing.

    ``envelope_hint`` holds what was recognised safely (``id``, ``source``, ``type``, ``workspace_id``), so that the
    failed event can be sent. The text never repeats values of the body: they may be personal data.
    """

    def __init__(
        self,
        cause: Cause,
        user_message: str,
        remedy: str,
        *,
        fields: tuple[str, ...] = (),
        envelope_hint: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(user_message)
        self.cause = cause
        self.user_message = user_message
        self.remedy = remedy
        self.fields = fields
        self.envelope_hint: Mapping[str, str] = MappingProxyType(dict(envelope_hint or {}))

    @property
    def problem(self) -> Problem:
        """The same as a ``Problem``, for events and dead letters."""
        return Problem(
            cause=self.cause,
            user_message=self.user_message,
            remedy=self.remedy,
            fields=list(self.fields),
            final=True,
        )


class UnknownEvent(MalformedEvent):
    """A well-formed event of a type, or of a version, that this service does not know."""


def malformed(message: str, remedy: str = "", *, fields: tuple[str, ...] = ()) -> MalformedEvent:
    """Make the general ``MalformedEvent``; the remedy defaults to "the publisher must correct it"."""
    return MalformedEvent(
        Cause.MALFORMED_EVENT,
        message,
        remedy or "The service that published the event must correct it and publish it again with a new id.",
        fields=fields,
    )
