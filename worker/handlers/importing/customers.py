"""Customers of a page: contacts fetched, mapped, and matched with those that Pike already has (B11)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas.customer import EconomicCustomerRow, LocalCustomer, PikeCustomer
from worker.economic.endpoints import EconomicApi
from worker.mapping import customer as customer_mapping
from worker.mapping import matching
from worker.run import Run, Work
from worker.store import customers, matches, records
from worker.store.records import Written
from worker.store.tables import CUSTOMERS

FAR_APART = 5
"""Numbers per customer of a page from which on its contacts are asked for by number."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Pike's own customers of a workspace, not linked yet, and the values they can be recognised by."""

    own: tuple[LocalCustomer, ...]
    values: frozenset[tuple[str, str]]
    separate: frozenset[str] = frozenset()
    """Numbers of which a person said that they are none of Pike's: they get a row of their own."""
    ignored: frozenset[str] = frozenset()
    """Numbers of which a person said that Pike does not want them."""

    @classmethod
    async def load(cls, run: Run) -> "Matcher":
        """Read them, and what people decided before."""
        agreement = run.need_connection().agreement_number
        async with run.read() as connection:
            own = await customers.unlinked(connection, run.workspace_id)
            decided = await matches.decided(connection, run.workspace_id, agreement)
        return cls(
            tuple(own),
            frozenset(value for customer in own for value in _values(customer)),
            separate=frozenset(number for number, state in decided.items() if state == "created"),
            ignored=frozenset(number for number, state in decided.items() if state == "ignored"),
        )

    def wanted(self, found: Sequence[EconomicCustomerRow]) -> list[EconomicCustomerRow]:
        """Leave out those that a person put on the ignore list."""
        return [customer for customer in found if str(customer.customer_number) not in self.ignored]

    def may_fit(self, customer: PikeCustomer) -> bool:
        """Return whether one of Pike's customers shares a VAT number, e-mail address or name with it."""
        if not self.own or customer.external_number in self.separate:
            return False
        return any(value in self.values for value in _values(customer))


def _values(customer: PikeCustomer | LocalCustomer) -> Iterable[tuple[str, str]]:
    keys = matching.keys_of(customer)
    return ((name, keys.get(name)) for name in matching.ROUNDS if keys.get(name))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Customers ready to be written, links to make first, and those left to a person."""

    customers: list[PikeCustomer]
    links: dict[UUID, str] = field(default_factory=dict)
    ambiguous: list[matching.Ambiguous] = field(default_factory=list)
    rejects: list[tuple[str | None, str, str]] = field(default_factory=list)
    put_off: list[int] = field(default_factory=list)

    @property
    def numbers(self) -> set[str]:
        """Numbers that are settled: written, or waiting for a person."""
        return {c.external_number for c in self.customers} | {a.external_number for a in self.ambiguous}


async def prepare(run: Run, matcher: Matcher, page: Sequence[EconomicCustomerRow]) -> Prepared:
    """Map a page; put off what may fit a customer of Pike's and is not linked yet."""
    mapped = await _map(run.need_api(), matcher.wanted(page))
    fitting = [customer.external_number for customer in mapped if matcher.may_fit(customer)]
    if not fitting:
        return Prepared(mapped)
    linked = await _linked(run, fitting)
    waiting = {number for number in fitting if number not in linked}
    return Prepared(
        [customer for customer in mapped if customer.external_number not in waiting],
        put_off=[int(number) for number in sorted(waiting)],
    )


async def decide(run: Run, matcher: Matcher, found: Sequence[EconomicCustomerRow], *, search: bool = False) -> Prepared:
    """Match customers with Pike's: exactly one candidate on both sides is a link, several are for a person.

    ``search``: ``found`` is not all that may fit, so e-conomic is asked for others alike before anything is linked.
    """
    if not found:
        return Prepared([])
    mapped = await _map(run.need_api(), matcher.wanted(found))
    fitting = [customer for customer in mapped if matcher.may_fit(customer)]
    rivals = await _rivals(run.need_api(), fitting) if search else []
    linked = await _linked(run, [customer.external_number for customer in [*fitting, *rivals]])
    unlinked = {c.external_number: c for c in [*fitting, *rivals] if c.external_number not in linked}
    matched = matching.match_customers(list(unlinked.values()), matcher.own)
    mine = {customer.external_number for customer in mapped}
    ambiguous = [match for match in matched.ambiguous if match.external_number in mine]
    waiting = {match.external_number for match in ambiguous}
    return Prepared(
        [customer for customer in mapped if customer.external_number not in waiting],
        links={own: number for own, number in matched.links.items() if number in mine},
        ambiguous=ambiguous,
        rejects=[(match.external_number, _reason(match), "") for match in ambiguous],
    )


async def write(
    work: Work, run: Run, prepared: Prepared, as_of: datetime, import_id: UUID | None, *, sparingly: bool = False
) -> list[Written]:
    """Link, then write. A linked customer keeps its Pike id; e-conomic's fields overwrite Pike's (R16, R32)."""
    connection, workspace = work.connection, run.workspace_id
    agreement = run.need_connection().agreement_number
    await customers.link(connection, workspace, agreement, prepared.links)
    await matches.save_ambiguous(
        connection, workspace, agreement, import_id, [_as_row(match) for match in prepared.ambiguous]
    )
    written = await records.upsert(
        connection, CUSTOMERS, workspace, agreement, prepared.customers, as_of, sparingly=sparingly
    )
    await matches.settle(
        connection,
        workspace,
        agreement,
        linked=list(prepared.links.values()),
        written=[customer.external_number for customer in prepared.customers],
    )
    return written


async def _map(api: EconomicApi, page: Sequence[EconomicCustomerRow]) -> list[PikeCustomer]:
    contacts: dict[int, list[Any]] = {}
    if page:
        numbers = [customer.customer_number for customer in page]
        first, last = min(numbers), max(numbers)
        # a stretch of the list is read as a whole; few that lie far apart by their numbers
        near = last - first <= FAR_APART * len(numbers)
        for contact in await (api.contacts_between(first, last) if near else api.contacts_of(numbers)):
            contacts.setdefault(contact.customer_number, []).append(contact)
    return [customer_mapping.to_pike(customer, contacts.get(customer.customer_number, ())) for customer in page]


async def _linked(run: Run, numbers: Sequence[str]) -> set[str]:
    async with run.read() as connection:
        return await records.known_numbers(
            connection, CUSTOMERS, run.workspace_id, run.need_connection().agreement_number, numbers
        )


async def _rivals(api: EconomicApi, fitting: Sequence[PikeCustomer]) -> list[PikeCustomer]:
    found: dict[int, EconomicCustomerRow] = {}
    for customer in fitting:
        for key in (
            {"vat_number": customer.vat_number},
            {"email": customer.primary_contact_email},
            {"name": customer.name},
        ):
            if all(key.values()):
                found.update({other.customer_number: other for other in await api.search_customers(**key)})
    mine = {customer.external_number for customer in fitting}
    return [customer_mapping.to_pike(other) for number, other in found.items() if str(number) not in mine]


def _reason(match: matching.Ambiguous) -> str:
    key = {"vat_number": "VAT number", "email": "e-mail address", "name": "name"}[match.matched_by]
    return (
        f"{match.name}: the same {key} fits more than one customer. "
        "It was left alone; a person must say which of Pike's customers it is."
    )


def _as_row(match: matching.Ambiguous) -> dict[str, Any]:
    return {
        "external_number": match.external_number,
        "name": match.name,
        "matched_by": match.matched_by,
        "candidates": list(match.candidates),
    }
