"""What the demo claims and whether it is true. A claim is checked against the other side, never against itself."""

import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Claim:
    """One claim with the figures that show it."""

    text: str
    shown: str
    true: bool


def _shown(value: object) -> str:
    """Figures as people write them; a tuple is a list of them."""
    if isinstance(value, tuple):
        return ", ".join(_shown(part) for part in value)
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass
class Step:
    """A chapter of the story."""

    title: str
    started: float
    seconds: float = 0.0
    claims: list[Claim] = field(default_factory=list)


class Story:
    """Collects steps and claims, and prints them as they come and as a table at the end."""

    def __init__(self) -> None:
        self.console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=False)
        self.steps: list[Step] = []
        self.begun = time.monotonic()

    def step(self, title: str) -> None:
        """Begin a chapter."""
        self._close()
        self.steps.append(Step(title, time.monotonic()))
        self.console.print(f"\n[bold]{len(self.steps)}. {title}[/bold]")

    def say(self, text: str) -> None:
        """Tell something that needs no proof."""
        self.console.print(f"   {text}", markup=False)

    def claim(self, text: str, true: bool, shown: str) -> None:
        """State a claim with the figures that prove or disprove it."""
        self.steps[-1].claims.append(Claim(text, shown, true))
        mark = "[green]✓[/green]" if true else "[bold red]✗ UNTRUE[/bold red]"
        self.console.print(f"   {mark} ", end="")
        self.console.print(f"{text}: {shown}", markup=False)

    def equal(self, text: str, ours: object, theirs: object) -> None:
        """Claim that two figures from two sides are the same."""
        same = ours == theirs
        self.claim(text, same, _shown(ours) if same else f"{_shown(ours)} here, {_shown(theirs)} there")

    def finish(self) -> int:
        """Print the table; returns the exit code: 0 only when everything was true."""
        self._close()
        table = Table(title="\nWhat happened, and what it proves", title_justify="left", show_lines=True)
        for name, style in (("step", "bold"), ("proof", ""), ("s", "dim")):
            table.add_column(name, style=style, overflow="fold", justify="right" if name == "s" else "left")
        for step in self.steps:
            proof = "\n".join(f"{'✓' if c.true else '✗ UNTRUE'} {c.text}: {c.shown}" for c in step.claims)
            table.add_row(step.title, proof.replace("[", r"\["), f"{step.seconds:.1f}")
        self.console.print(table)
        claims = [claim for step in self.steps for claim in step.claims]
        untrue = [claim for claim in claims if not claim.true]
        total = time.monotonic() - self.begun
        if untrue:
            self.console.print(f"{len(untrue)} of {len(claims)} claims are UNTRUE ({total:.0f} s).", style="bold red")
            return 1
        self.console.print(f"All {len(claims)} claims are true ({total:.0f} s).", style="bold green")
        return 0

    def _close(self) -> None:
        if self.steps and not self.steps[-1].seconds:
            self.steps[-1].seconds = time.monotonic() - self.steps[-1].started
