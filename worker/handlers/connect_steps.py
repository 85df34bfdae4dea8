"""Connecting in a browser (R8): the steps behind the pages, each of which happens once.

open a link → go to e-conomic → come back with a grant → confirm → first import. Nothing here knows HTTP. A step that
cannot be taken raises ``Turned`` with one of the reasons that ``worker.web`` has a page for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from events.envelope import Envelope
from events.imports import ImportRequested
from worker.broker.topology import EVENTS_EXCHANGE
from worker.clock import Clock
from worker.economic.client import EconomicClient
from worker.errors import GrantRevoked, Held, Refused, Transient
from worker.handlers import connect
from worker.handlers.agreement import Option, Verified, choose_defaults, verify
from worker.handlers.connect import Connected
from worker.handlers.connect_links import BadLink, Link, attempt_of, fingerprint, new_state
from worker.run import SOURCE, message_of
from worker.store import access_audit, attempts, connections, outbox
from worker.store.attempts import Attempt
from worker.store.connections import Choices, EconomicConnection
from worker.store.crypto import ATTEMPT, Vault
from worker.store.pool import Connection, Database

ATTEMPT_LIFE_S = 1800.0
"""How long one may take from the link to the confirmation, in seconds; signing in to e-conomic is part of it."""


class Turned(Exception):
    """This step cannot be taken; ``reason`` names the page that says why. ``facts`` are shown on it."""

    def __init__(self, reason: str, **facts: object) -> None:
        self.reason = reason
        self.facts = facts
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the confirmation page shows: the agreement, what was connected before, and what to choose from."""

    attempt: Attempt
    verified: Verified
    before: EconomicConnection | None
    defaults: Mapping[str, Any]

    @property
    def another(self) -> bool:
        """Whether the workspace had another agreement before."""
        return self.before is not None and self.before.agreement_number != self.verified.number


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps, for one worker. ``keys``: shared with Pike, the first signs."""

    database: Database
    client: EconomicClient
    vault: Vault
    clock: Clock
    keys: Sequence[bytes]

    async def open_link(self, link: Link, browser: str) -> tuple[Attempt, str | None]:
        """Begin, or go on in the same browser. Returns the attempt and, when consent is missing, the state to send."""
        async with self.database.transaction("open a connect link") as connection:
            attempt = await attempts.open_link(
                connection,
                workspace_id=link.workspace_id,
                nonce=link.nonce,
                requested_by=link.by or None,
                browser_hash=fingerprint(browser),
                lasts_s=ATTEMPT_LIFE_S,
            )
            if attempt is None:
                raise Turned("link_used")
            if attempt.stage == "confirm" and not attempt.expired:
                return attempt, None
            state = new_state(attempt.id, self.keys[0])
            if not await attempts.await_consent(connection, attempt.id, fingerprint(state)):
                raise Turned(_why_over(attempt))
            await _note(connection, attempt, "connect_started")
        return attempt, state

    async def come_back(self, state: str, browser: str, grant: SecretStr | None) -> Attempt:
        """Take e-conomic's answer: use the state up, verify the grant, keep it sealed until it is confirmed."""
        try:
            attempt_id = attempt_of(state, self.keys)
        except BadLink:
            raise Turned("forged") from None
        attempt = await self.attempt(attempt_id, browser)
        async with self.database.connection("take a connect state") as connection:
            if not await attempts.take_state(connection, attempt_id, fingerprint(state)):
                raise Turned(_why_not_taken(attempt), attempt=attempt)
        if grant is None:
            await self._end(attempt, "declined")
            raise Turned("declined")
        verified = await self._verify(attempt, grant)
        await self._refuse_unsuitable(attempt, verified)
        async with self.database.transaction("hold a grant") as connection:
            sealed = self.vault.seal(grant, attempt.id, ATTEMPT)
            await attempts.hold_grant(connection, attempt.id, sealed, asdict(verified))
        return attempt

    async def _verify(self, attempt: Attempt, grant: SecretStr) -> Verified:
        try:
            return await verify(self.client.for_grant(grant, agreement_number=None))
        except GrantRevoked:
            await self._end(attempt, "not_accepted")
            raise Turned("not_accepted") from None
        except Refused as exc:
            await self._end(attempt, "wrong_role")
            raise Turned("wrong_role", problem=exc.problem) from None
        except (Transient, Held):
            async with self.database.connection("give a state back") as connection:
                await attempts.give_state_back(connection, attempt.id)
            raise Turned("unavailable") from None

    async def _refuse_unsuitable(self, attempt: Attempt, verified: Verified) -> None:
        async with self.database.transaction("look at connections") as connection:
            reason = await _unsuitable(connection, attempt, verified.number)
        if reason is not None:
            await self._end(attempt, reason.reason)
            raise reason

    async def attempt(self, attempt_id: UUID, browser: str) -> Attempt:
        """Return an attempt of this browser. Another browser's is treated like one that never was."""
        async with self.database.connection("find a connect attempt") as connection:
            attempt = await attempts.find(connection, attempt_id)
        if attempt is None or attempt.browser_hash != fingerprint(browser):
            raise Turned("other_browser")
        return attempt

    async def offer(self, attempt: Attempt) -> Offer:
        """Return what is to be confirmed. Raises ``Turned`` when there is nothing (any more)."""
        if attempt.stage != "confirm" or attempt.expired:
            raise Turned(_why_over(attempt), attempt=attempt)
        verified = _verified(attempt.agreement)
        async with self.database.connection("find the connection before") as connection:
            before = await connections.find(connection, attempt.workspace_id)
        defaults = choose_defaults(verified.options)
        if before is not None and before.agreement_number == verified.number:
            defaults |= _still_there(before.defaults, verified)
        return Offer(attempt, verified, before, defaults)

    async def has_product(self, attempt: Attempt, number: str) -> bool:
        """Whether the agreement has a product that is not barred, asked with the grant that waits to be confirmed."""
        if attempt.sealed is None:
            raise Turned(_why_over(attempt))
        api = self.client.for_grant(self.vault.open(attempt.sealed, attempt.id, ATTEMPT), agreement_number=None)
        try:
            found = await api.find_product(number)
        except (Transient, Held):
            raise Turned("unavailable") from None
        except (GrantRevoked, Refused):
            raise Turned("not_accepted") from None
        return found is not None and not found.barred

    async def confirm(self, offer: Offer, choices: Choices) -> Connected:
        """Store the connection, announce it, release what waited: one commit, once."""
        attempt, verified = offer.attempt, offer.verified
        async with self.database.transaction("confirm a connection") as connection:
            sealed = await attempts.take_grant(connection, attempt.id)
            if sealed is None:
                raise Turned("repeated", attempt=attempt)
            reason = await _unsuitable(connection, attempt, verified.number)
            if reason is not None:
                raise reason
            made = await connect.store(
                connection,
                self.vault,
                self.clock,
                workspace_id=attempt.workspace_id,
                grant=self.vault.open(sealed, attempt.id, ATTEMPT),
                verified=verified,
                choices=choices,
            )
            await _note(connection, attempt, "connected", agreement_number=verified.number, choices=asdict(choices))
        return made

    async def cancel(self, attempt: Attempt) -> None:
        """The person changed their mind; the grant is forgotten here (and can be withdrawn in e-conomic)."""
        await self._end(attempt, "cancelled")

    async def import_first(self, attempt: Attempt, entities: Sequence[str]) -> bool:
        """Request the first import, as Pike would. False when that was done before."""
        if attempt.stage != "connected":
            raise Turned(_why_over(attempt))
        data = ImportRequested.model_validate({"entities": list(entities), "requested_by": attempt.requested_by})
        event = Envelope(
            id=str(attempt.id), source=SOURCE, type=data.TYPE, time=self.clock.now(),
            workspace_id=attempt.workspace_id, data=data,
        )  # fmt: skip
        async with self.database.transaction("request the first import") as connection:
            if not await attempts.take_import(connection, attempt.id):
                return False
            await outbox.append(connection, [message_of(event, EVENTS_EXCHANGE)], lease_s=0.0)
            await _note(connection, attempt, "import_requested", entities=list(entities))
        return True

    async def _end(self, attempt: Attempt, reason: str) -> None:
        async with self.database.transaction("end a connect attempt") as connection:
            await attempts.end(connection, attempt.id, reason)
            await _note(connection, attempt, "connect_ended", because=reason)


async def _unsuitable(connection: Connection, attempt: Attempt, agreement_number: int) -> Turned | None:
    """Say why this workspace may not have this agreement: two agreements' records are never merged."""
    before = await connections.find(connection, attempt.workspace_id)
    if before is not None and before.status != "closed" and before.agreement_number != agreement_number:
        return Turned("another_agreement", before=before, chosen=agreement_number)
    if await connections.in_other_workspaces(connection, agreement_number, attempt.workspace_id):
        return Turned("connected_elsewhere", chosen=agreement_number)
    return None


async def _note(connection: Connection, attempt: Attempt, action: str, **details: object) -> None:
    actor = f"pike:{attempt.requested_by or 'somebody'}"
    details["attempt"] = str(attempt.id)
    await access_audit.write(connection, actor, action, workspace_id=attempt.workspace_id, details=details)


def _why_not_taken(attempt: Attempt) -> str:
    """An answer of e-conomic's that was taken before is repeated, whatever became of it; else its time was over."""
    late = attempt.stage == "consent" or attempt.ended_because == "expired"
    return _why_over(attempt) if late else "repeated"


def _why_over(attempt: Attempt) -> str:
    if attempt.stage == "connected":
        return "repeated"
    return "expired" if attempt.expired or attempt.ended_because == "expired" else "over"


def _verified(stored: Mapping[str, Any]) -> Verified:
    options = {name: [Option(**row) for row in rows] for name, rows in stored["options"].items()}
    return Verified(stored["number"], stored["company_name"], stored["base_currency"], options)


def _still_there(defaults: Mapping[str, Any], verified: Verified) -> dict[str, Any]:
    """Return the earlier choices that the agreement still has."""
    kept = {
        name: defaults[name]
        for name, rows in verified.options.items()
        if any(row.number == defaults.get(name) for row in rows)
    }
    if "payment_terms" in kept:
        kept["payment_terms_type"] = defaults.get("payment_terms_type")
    return kept
