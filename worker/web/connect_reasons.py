"""Why connecting did not go on: for each reason a status, what happened, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from schemas.problem import Problem
from worker.store.attempts import Attempt
from worker.store.connections import EconomicConnection
from worker.web.pages import page

_AGAIN = "Go back to Pike and press Add integration again."


@dataclass(frozen=True, slots=True)
class Reason:
    """A page: its status, its heading, what happened and what to do."""

    status: int
    title: str
    text: str
    remedy: str = _AGAIN


REASONS: Mapping[str, Reason] = {
    "forged": Reason(403, "This link is not valid", "It was not made by Pike, or it was changed on the way here."),
    "link_expired": Reason(
        410, "This link is too old", "A link to connect works for a few minutes only, and its time is over."
    ),
    "link_used": Reason(
        409,
        "This link was used already",
        "It was opened in another browser or window before. A link to connect works once.",
    ),
    "other_browser": Reason(
        403,
        "This was begun in another browser",
        "Connecting must end in the browser in which it began, with cookies allowed.",
    ),
    "repeated": Reason(
        409, "This was done already", "This answer from e-conomic was used before. Nothing was done a second time."
    ),
    "expired": Reason(410, "This took too long", "The time to connect is over. Nothing was connected."),
    "over": Reason(409, "This is over", "This attempt to connect has ended. Nothing was connected by it."),
    "declined": Reason(
        200,
        "Nothing was connected",
        "e-conomic sent no access along: it was declined there.",
        "If that was a mistake, go back to Pike and press Add integration again.",
    ),
    "cancelled": Reason(
        200,
        "Nothing was connected",
        "You cancelled, and Pike has forgotten the access that e-conomic gave.",
        "You can also withdraw it in e-conomic: Settings, All settings, Extensions, Apps.",
    ),
    "not_accepted": Reason(
        403, "e-conomic did not accept the access", "The access that came along does not work, or was withdrawn."
    ),
    "wrong_role": Reason(
        403,
        "The access does not reach far enough",
        "e-conomic let us in, but not to the customers, products and invoices that Pike needs.",
        "A superuser of the agreement must connect it. " + _AGAIN,
    ),
    "unavailable": Reason(
        503,
        "e-conomic does not answer now",
        "The access could not be checked. Nothing was connected, and nothing is lost.",
        "Load this page again in a minute.",
    ),
    "another_agreement": Reason(
        409,
        "This is another agreement",
        "This workspace is connected to another agreement. Two agreements are never merged into one workspace.",
        "To reconnect, choose the same agreement as before. To change agreements, disconnect in Pike first.",
    ),
    "connected_elsewhere": Reason(
        409,
        "This agreement is connected elsewhere",
        "Another Pike workspace is connected to this agreement. Two would send and import the same invoices.",
        "Disconnect it in the other workspace first, or choose another agreement.",
    ),
    "not_set_up": Reason(
        503,
        "Connecting is not set up",
        "This installation lacks a public address, a link key or the public token of the e-conomic app.",
        "Whoever runs it must set PIKE_ECONOMIC_PUBLIC_URL, PIKE_ECONOMIC_LINK_KEY and PIKE_ECONOMIC_APP_PUBLIC_TOKEN.",
    ),
}


def told(reason: str, facts: Mapping[str, object]) -> web.Response:
    """Answer with the page of a reason. Facts that belong on it are shown as rows."""
    known = REASONS[reason]
    text, details = known.text, []
    problem, before, chosen = facts.get("problem"), facts.get("before"), facts.get("chosen")
    if isinstance(problem, Problem):
        text = f"{known.text} {problem.user_message}"
    if isinstance(before, EconomicConnection):
        details.append(("Connected now", f"{before.company_name}, agreement {before.agreement_number}"))
    if isinstance(chosen, int):
        details.append(("You chose", f"agreement {chosen}"))
    attempt = facts.get("attempt")
    go_on = f"/connect/confirm/{attempt.id}" if _goes_on(attempt) and isinstance(attempt, Attempt) else ""
    tone = "plain" if known.status == 200 else "bad"
    return page(
        "message.html", status=known.status, tone=tone, title=known.title, text=text, remedy=known.remedy,
        details=details, go_on=go_on,
    )  # fmt: skip


def _goes_on(attempt: object) -> bool:
    """Whether the attempt has a page on which the person can go on."""
    return isinstance(attempt, Attempt) and attempt.stage in ("confirm", "connected") and not attempt.expired
