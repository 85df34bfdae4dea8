"""Which of Pike's customers is which of e-conomic's (B11): VAT number, then e-mail, then name; never a guess.

A link needs one candidate on each side. Whoever has another VAT number is no candidate, however alike otherwise.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from schemas.customer import EconomicCustomer, LocalCustomer, PikeCustomer
from worker.mapping import texts
from worker.mapping.customer import normalise_vat, to_pike

MatchedBy = Literal["vat_number", "email", "name"]
ROUNDS: tuple[MatchedBy, ...] = ("vat_number", "email", "name")
MAX_CANDIDATES = 20

_PUNCTUATION = re.compile(r"[.,;:'\"()]+")


@dataclass(frozen=True, slots=True)
class Keys:
    """What is compared, normalised; ``""`` where there is nothing to compare."""

    vat_number: str
    email: str
    name: str

    def get(self, key: MatchedBy) -> str:
        """Return one of the three."""
        return {"vat_number": self.vat_number, "email": self.email, "name": self.name}[key]

    def contradicts(self, other: "Keys") -> bool:
        """Say whether both have a VAT number and they differ: two companies, whatever else is alike."""
        return bool(self.vat_number and other.vat_number and self.vat_number != other.vat_number)


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A customer of e-conomic that fits several of Pike's, or shares its only candidate with another one."""

    external_number: str
    name: str
    matched_by: MatchedBy
    candidates: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """Pike id → e-conomic number, and those left to a person."""

    links: dict[UUID, str] = field(default_factory=dict)
    ambiguous: list[Ambiguous] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates in e-conomic for one customer of Pike: exactly one is the match, several are for a person."""

    matched_by: MatchedBy | None
    candidates: tuple[EconomicCustomer, ...]

    @property
    def customer(self) -> EconomicCustomer | None:
        """The match, when there is exactly one candidate."""
        return self.candidates[0] if len(self.candidates) == 1 else None

    @property
    def ambiguous(self) -> bool:
        """True when a person must choose."""
        return len(self.candidates) > 1


def keys_of(customer: PikeCustomer | LocalCustomer) -> Keys:
    """Return what a customer is compared by."""
    email = customer.primary_contact_email if isinstance(customer, PikeCustomer) else customer.email
    return Keys(normalise_vat(customer.vat_number), normalise_email(email), normalise_name(customer.name))


def normalise_email(text: str | None) -> str:
    """Return the first address in small letters."""
    return (texts.first_address(text) or "").casefold()


def normalise_name(text: str | None) -> str:
    """Return a name without case, punctuation and runs of spaces: ``Hansen  ApS.`` is ``hansen aps``."""
    plain = unicodedata.normalize("NFKC", text or "").casefold()
    return texts.line(_PUNCTUATION.sub(" ", plain)) or ""


def match_customers(arriving: Sequence[PikeCustomer], own: Sequence[LocalCustomer]) -> Matches:
    """Match e-conomic's unlinked customers with Pike's unlinked ones.

    Give all of e-conomic's customers at once: two of them with one VAT number are only seen together.
    Customers without any candidate are in neither list: they are new.
    """
    matches = Matches()
    keys = {customer.external_number: keys_of(customer) for customer in arriving}
    own_keys = {customer.id: keys_of(customer) for customer in own}
    open_numbers = {customer.external_number: customer.name for customer in arriving}
    contested: set[UUID] = set()
    for round_ in ROUNDS:
        pairs = _pairs(round_, {number: keys[number] for number in open_numbers}, own_keys, matches.links)
        suitors: dict[UUID, int] = defaultdict(int)
        for candidates in pairs.values():
            for candidate in candidates:
                suitors[candidate] += 1
        for number, candidates in pairs.items():
            name = open_numbers.pop(number)
            alone = len(candidates) == 1 and suitors[candidates[0]] == 1
            if alone and candidates[0] not in contested:
                matches.links[candidates[0]] = number
            else:
                matches.ambiguous.append(Ambiguous(number, name, round_, tuple(candidates[:MAX_CANDIDATES])))
                contested.update(candidates)
    return matches


def find_in_economic(local: LocalCustomer, customers: Sequence[EconomicCustomer]) -> Found:
    """Find the customer of a pushed invoice among those that e-conomic returned for its VAT number, e-mail or name."""
    wanted = keys_of(local)
    keyed = [(customer, keys_of(to_pike(customer))) for customer in customers]
    for key in ROUNDS:
        value = wanted.get(key)
        hits = [c for c, keys in keyed if value and keys.get(key) == value and not keys.contradicts(wanted)]
        if hits:
            return Found(key, tuple({hit.customer_number: hit for hit in hits}.values()))
    return Found(None, ())


def _pairs(
    key: MatchedBy, arriving: dict[str, Keys], own: dict[UUID, Keys], taken: dict[UUID, str]
) -> dict[str, list[UUID]]:
    """Return, per e-conomic number with any, the Pike customers that share this key and contradict nothing."""
    by_value: dict[str, list[UUID]] = defaultdict(list)
    for own_id, keys in own.items():
        if own_id not in taken and keys.get(key):
            by_value[keys.get(key)].append(own_id)
    found: dict[str, list[UUID]] = {}
    for number, keys in arriving.items():
        fitting = [own_id for own_id in by_value.get(keys.get(key), ()) if not keys.contradicts(own[own_id])]
        if fitting:
            found[number] = fitting
    return found
