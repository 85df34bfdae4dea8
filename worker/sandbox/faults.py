"""Faults on purpose: rules that match requests and say what goes wrong with them. Random, but seeded.

``before`` kinds keep the request from acting; ``after`` kinds act first and then spoil the answer, which is how a
client comes to not know whether a write happened.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal[
    "status",
    "hang",
    "delay",
    "drop_before",
    "html",
    "error_in_200",
    "drop_after",
    "hang_after",
    "truncated_json",
    "cut_body",
    "trickle",
]
KINDS: tuple[str, ...] = get_args(Kind)
ACTS = frozenset({"delay", "drop_after", "hang_after", "truncated_json", "cut_body", "trickle"})
"""The kinds with which the request still takes effect."""


@dataclass(slots=True)
class FaultRule:
    """One rule. It applies to a request that matches all of ``method``, ``path`` and ``agreement`` given.

    ``path`` is a regular expression searched in the path with its surface (``/legacy/invoices/drafts``), query left
    out. ``times`` limits how often it strikes, ``probability`` (0-1) is drawn per request, ``seconds`` is the length
    of a hang, delay or trickle. ``status`` and ``retry_after`` shape ``status`` and ``html``.
    """

    kind: Kind
    method: str | None = None
    path: str | None = None
    agreement: int | None = None
    probability: float = 1.0
    times: int | None = None
    status: int = 503
    retry_after: int | None = None
    seconds: float = 1.0
    struck: int = 0
    _pattern: re.Pattern[str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; known: {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be between 0 and 1")
        self._pattern = re.compile(self.path) if self.path else None

    def matches(self, method: str, path: str, agreement: int | None) -> bool:
        """Return whether the rule is about such a request and not used up."""
        if self.times is not None and self.struck >= self.times:
            return False
        if self.method is not None and self.method.upper() != method:
            return False
        if self.agreement is not None and self.agreement != agreement:
            return False
        return self._pattern is None or self._pattern.search(path) is not None


_FIELDS = frozenset(FaultRule.__dataclass_fields__) - {"kind", "struck", "_pattern"}


class Faults:
    """The rules in force, in order; the first that strikes wins. ``latency_s`` delays every API call."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(f"faults:{seed}")  # noqa: S311 - repeatable faults, not secrets
        self.rules: list[FaultRule] = []
        self.counts: Counter[str] = Counter()
        self.latency_s = 0.0

    def add(self, kind: Kind, **options: Any) -> FaultRule:
        """Add a rule; options are the fields of ``FaultRule``. Raises ValueError for anything else."""
        if unknown := set(options) - _FIELDS:
            raise ValueError(f"unknown fault option {', '.join(sorted(unknown))}")
        rule = FaultRule(kind, **options)
        self.rules.append(rule)
        return rule

    def add_from(self, options: Mapping[str, Any]) -> FaultRule:
        """Add a rule from JSON. Raises ValueError."""
        fields = dict(options)
        try:
            return self.add(fields.pop("kind"), **fields)
        except (KeyError, TypeError, re.error) as exc:
            raise ValueError(f"not a fault rule: {exc}") from exc

    def clear(self) -> None:
        """Remove every rule and the latency; the counters stay."""
        self.rules.clear()
        self.latency_s = 0.0

    def pick(self, method: str, path: str, agreement: int | None) -> FaultRule | None:
        """Return the rule that strikes this request, counted, or None."""
        for rule in self.rules:
            if not rule.matches(method, path, agreement):
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            rule.struck += 1
            self.counts[rule.kind] += 1
            return rule
        return None
