"""Publishing events of Pike from a Python service: persistent, mandatory, confirmed, and repeated while in doubt.

    async with Publisher("amqp://…", source="/pike/finance") as pike:
        event = await pike.publish(InvoiceCreated(invoice=…), workspace_id="ws-1")

The only module of ``events`` that talks to anybody; import it by name. A service that must not lose an event when
it dies between its commit and the publish keeps the event in an outbox (``deploy/examples/python/outbox.py``).
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import aio_pika
import aiormq.exceptions as amqp
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from pydantic import SecretStr

from events.codec import CONTENT_TYPE, headers_of
from events.envelope import Envelope, Incoming
from events.requests import NoListener, NotAccepted, NotConfirmed, NotPublished, RequestT, encoded, new_event

__all__ = ["NoListener", "NotAccepted", "NotConfirmed", "NotPublished", "Publisher", "new_event"]

EXCHANGE = "pike.events"
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0


class Publisher:
    """One connection for a whole service; safe to use from many tasks. Connects when first needed.

    ``source`` is the CloudEvents source of everything published, such as ``/pike/finance``. ``timeout_s`` bounds one
    publish with all its repeats.
    """

    def __init__(self, url: str | SecretStr, *, source: str, timeout_s: float = 30.0) -> None:
        self._url = url if isinstance(url, SecretStr) else SecretStr(url)
        self._source = source
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._opening = asyncio.Lock()
        # aiormq finds the publish that a returned message belongs to by its id: one at a time of each
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> "Publisher":
        """Return itself; the connection is opened by the first publish."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close the connection. A publish under way fails with ``NotConfirmed`` or connects anew."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), CLOSE_TIMEOUT_S)

    async def publish(
        self,
        data: RequestT,
        *,
        workspace_id: str,
        event_id: str | None = None,
        subject: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Envelope[RequestT]:
        """Publish and return the event once a queue of the integration holds it. Raises as ``send`` does.

        Answers carry its id as ``correlation_id``. Give ``event_id`` when the event has one that outlives this process.
        """
        event = new_event(
            data,
            source=self._source,
            workspace_id=workspace_id,
            event_id=event_id,
            subject=subject,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
        )
        await self.send(event)
        return event

    async def send(self, event: Envelope[Incoming]) -> None:
        """Publish an event made earlier, such as one from an outbox; return once a queue of the integration holds it.

        Lost connections, refusals of a full queue and missing confirms are tried again with the same id, which is
        acted on once. Raises ``NoListener``, ``NotConfirmed`` or ``NotAccepted``.
        """
        message = aio_pika.Message(
            encoded(event),
            content_type=CONTENT_TYPE,
            headers=dict(headers_of(event)),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=event.id,
        )
        turn = self._turns.setdefault(event.id, asyncio.Lock())
        last = "no answer"
        try:
            async with asyncio.timeout(self._timeout_s), turn:
                wait_s = FIRST_WAIT_S
                while True:
                    try:
                        await self._attempt(event, message)
                    except _InDoubt as doubt:
                        last = str(doubt)
                    else:
                        return
                    await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads repeats, hides nothing
                    wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        except TimeoutError:
            raise NotConfirmed(
                event.id,
                f"RabbitMQ at {self._place} did not confirm {event.type} {event.id} within {self._timeout_s:g} s: "
                f"{last}. It may have arrived; publish it again with the same id.",
            ) from None

    async def _attempt(self, event: Envelope[Incoming], message: aio_pika.Message) -> None:
        with self._told(event):
            exchange = await self._open()
            try:
                await exchange.publish(message, routing_key=event.type, mandatory=True)
            except amqp.DeliveryError:
                raise  # an answer about this message; the channel is well
            except BaseException:
                if exchange is self._exchange:
                    await self.close()
                raise

    async def _open(self) -> AbstractExchange:
        async with self._opening:
            if self._exchange is not None and self._channel is not None and not self._channel.is_closed:
                return self._exchange
            await self.close()
            self._connection = await aio_pika.connect(
                self._url.get_secret_value(),
                timeout=CONNECT_TIMEOUT_S,
                client_properties={"connection_name": f"{self._source} publisher"},
            )
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            # Not declared: the exchange is the integration's, and services need no right to configure
            self._exchange = await self._channel.get_exchange(EXCHANGE, ensure=False)
            return self._exchange

    @contextmanager
    def _told(self, event: Envelope[Incoming]) -> Iterator[None]:
        """Turn what the driver may raise into what the caller can act on."""
        what = f"{event.type} {event.id}"
        try:
            yield
        except (amqp.PublishError, amqp.ChannelNotFoundEntity) as exc:
            raise NoListener(
                event.id,
                f"Nobody takes {what} at {self._place}: the e-conomic integration has not been started on this virtual "
                "host yet, or its queues were deleted. Start it (pike-economic run) and publish again.",
            ) from exc
        except (amqp.ProbableAuthenticationError, amqp.AuthenticationError) as exc:
            raise NotAccepted(
                event.id, f"RabbitMQ at {self._place} refused the login: check user and password in the AMQP address."
            ) from exc
        except amqp.ChannelAccessRefused as exc:
            raise NotAccepted(
                event.id,
                f"RabbitMQ at {self._place} refused {what}: the user needs the right to write to {EXCHANGE}.",
            ) from exc
        except amqp.InvalidFrameError as exc:  # aiormq's way of hearing that the virtual host stays shut
            raise NotAccepted(
                event.id,
                f"RabbitMQ at {self._place} does not open the virtual host: check that it exists and that the user "
                "may use it.",
            ) from exc
        except amqp.DeliveryError as exc:
            raise _InDoubt("it refused the event, because a queue is full or has no leader") from exc
        except asyncio.CancelledError as exc:
            # The driver cancels what waits on a dead channel; only our own cancellation is meant for us
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _InDoubt("the connection was lost") from exc
        except Exception as exc:
            raise _InDoubt(str(exc) or type(exc).__name__) from exc

    @property
    def _place(self) -> str:
        parts = urlsplit(self._url.get_secret_value())
        return f"{parts.hostname}:{parts.port or 5672}"


class _InDoubt(Exception):
    """Nobody knows whether the event arrived, or it did not: try again."""
