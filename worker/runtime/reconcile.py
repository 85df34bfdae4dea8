"""The zero-loss proof (B2): every event received against its outcome, every pushed invoice against e-conomic.

Read only. What is still under way is no loss; what has lain still for longer than the wait ladder reaches is.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from worker.economic.client import EconomicClient
from worker.economic.endpoints import EconomicApi
from worker.errors import GrantRevoked, Transient
from worker.mapping.push import MARKER
from worker.store import connections, proof
from worker.store.connections import EconomicConnection, open_grant
from worker.store.crypto import Vault
from worker.store.pool import Database
from worker.store.proof import LedgerEntry

PATIENCE_S = 2 * 3600.0
"""Longer than the longest rung of the ladder: whatever has not moved for so long does not move by itself."""

SETTLING_S = 120.0
"""A write younger than this may still be under way."""


@dataclass
class InvoiceProof:
    """One workspace's pushed invoices against its agreement. ``unchecked`` says why e-conomic could not be asked."""

    workspace_id: str
    agreement_number: int
    in_ledger: int = 0
    in_economic: int = 0
    missing: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    deleted_by_people: int = 0
    unchecked: str | None = None


@dataclass
class Proof:
    """The whole proof. ``lost`` and ``double`` must be 0."""

    events: dict[str, int]
    stuck: list[dict[str, Any]]
    without_outcome: list[dict[str, Any]]
    orphaned_answers: int
    invoices: list[InvoiceProof]

    @property
    def lost(self) -> int:
        """Events without an outcome that nobody works on, invoices recorded that e-conomic does not have."""
        gone = sum(len(each.missing) + len(each.unrecorded) for each in self.invoices)
        return len(self.stuck) + len(self.without_outcome) + gone

    @property
    def double(self) -> int:
        """Invoices that e-conomic has more than once."""
        return sum(len(each.double) for each in self.invoices)


async def reconcile(database: Database, client: EconomicClient, vault: Vault, workspace_id: str | None = None) -> Proof:
    """Compare everything received and done with what it came to; of one workspace or of all."""
    async with database.connection("reconcile") as connection:
        known = await connections.find_all(connection)
        result = Proof(
            events=await proof.event_counts(connection, workspace_id),
            stuck=await proof.stuck_events(connection, workspace_id, PATIENCE_S),
            without_outcome=await proof.without_outcome(connection, workspace_id),
            orphaned_answers=await proof.orphaned_answers(connection, workspace_id, PATIENCE_S),
            invoices=[],
        )
    for each in known:
        if workspace_id in (None, each.workspace_id):
            result.invoices.append(await _invoices_of(database, client, vault, each))
    return result


async def _invoices_of(
    database: Database, client: EconomicClient, vault: Vault, connection: EconomicConnection
) -> InvoiceProof:
    found = InvoiceProof(connection.workspace_id, connection.agreement_number)
    async with database.connection("reconcile ledger") as reading:
        ledger = await proof.drafts_in_ledger(reading, connection.agreement_number, connection.workspace_id)
    found.in_ledger = len(ledger)
    if not connection.active:
        found.unchecked = f"the connection is {connection.status}"
        return found
    api = client.for_grant(open_grant(vault, connection), agreement_number=connection.agreement_number)
    try:
        there = await _documents(api)
    except (GrantRevoked, Transient) as exc:
        found.unchecked = exc.problem.user_message
        return found
    _compare(found, ledger, there)
    return found


async def _documents(api: EconomicApi) -> Counter[UUID]:
    """Count drafts and booked invoices per Pike invoice, by our marker."""
    references = [draft.references.other or "" for draft in await api.drafts_with_reference(MARKER)]
    references += [invoice.references.other or "" for invoice in await api.booked_with_reference(MARKER)]
    counted: Counter[UUID] = Counter()
    for reference in references:
        try:
            counted[UUID(reference.removeprefix(MARKER).strip())] += 1
        except ValueError:  # somebody wrote a text of their own after the word
            continue
    return counted


def _compare(found: InvoiceProof, ledger: list[LedgerEntry], there: Counter[UUID]) -> None:
    for entry in ledger:
        name, count = str(entry.subject_id), there[entry.subject_id]
        found.in_economic += count
        if count > 1:
            found.double.append(name)
        elif entry.state == "done" and count == 0:
            if entry.gone_known:
                found.deleted_by_people += 1
            else:
                found.missing.append(name)
        elif entry.state in ("intent", "unknown") and entry.age_s > SETTLING_S:
            found.unknown.append(name)
        elif entry.state == "refused" and count:
            found.unrecorded.append(name)
