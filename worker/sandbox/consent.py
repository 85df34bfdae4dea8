"""The consent page: a person picks an agreement and adds the app, and the browser goes back with ``token=``.

The real page appends the grant token to the redirect address; what it does on refusal is not known, so this one only
says that nothing was shared.
"""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from worker.sandbox.world import World

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - local e-conomic</title>
<style>
 :root {{ color-scheme: light dark; --ink: #1d2733; --paper: #fff; --ground: #eef1f4; --accent: #0b5fa5; }}
 @media (prefers-color-scheme: dark) {{
   :root {{ --ink: #e8edf2; --paper: #1c242d; --ground: #10161c; --accent: #7fbdf2; }} }}
 body {{ margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }}
 main {{ max-width: 34rem; margin: 8vh auto; padding: 2rem; background: var(--paper); border-radius: .5rem; }}
 h1 {{ font-size: 1.4rem; margin-top: 0; }}
 fieldset {{ border: 1px solid currentColor; border-radius: .4rem; margin: 1.5rem 0; padding: .5rem 1rem; }}
 label {{ display: block; padding: .4rem 0; }}
 button {{ font: inherit; padding: .6rem 1.2rem; border-radius: .4rem; cursor: pointer; }}
 button {{ border: 2px solid var(--accent); }}
 button.add {{ background: var(--accent); color: var(--paper); }}
 button.no {{ background: transparent; color: var(--accent); }}
 :focus-visible {{ outline: 3px solid currentColor; outline-offset: 2px; }}
 .note {{ font-size: .9rem; opacity: .85; }}
 code {{ overflow-wrap: anywhere; }}
</style>
</head>
<body><main>
<h1>{title}</h1>
{body}
<p class="note">This is a local sandbox. No real accounts are involved and its tokens open nothing.</p>
</main></body>
</html>
"""


def _page(title: str, body: str, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
    text = _PAGE.format(title=escape(title), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def _redirect_target(url: str, token: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("token", token)]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _problem_with(sandbox: World, public_token: str, redirect: str) -> str | None:
    if public_token != sandbox.app_public_token:
        return "The app is not known: appPublicToken is missing or wrong."
    if not redirect:
        return None
    parts = urlsplit(redirect)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "redirectUrl must be an absolute http or https address."
    allowed = sandbox.consent_redirect_hosts
    if allowed is not None and parts.hostname not in allowed:
        return "redirectUrl points to a host that this sandbox does not send browsers to."
    return None


def _form(sandbox: World, redirect: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="agreement" value="{agreement.number}"{" checked" if index == 0 else ""}> '
        f"{escape(agreement.company_name)} ({agreement.number})</label>"
        for index, agreement in enumerate(sandbox.agreements)
    )
    return (
        "<p>The app <strong>Sandbox app</strong> asks for access to customers, products and invoices of an agreement, "
        "with the role SuperUser. You can withdraw the access at any time.</p>"
        f'<form method="post"><input type="hidden" name="appPublicToken" value="{escape(sandbox.app_public_token)}">'
        f'<input type="hidden" name="redirectUrl" value="{escape(redirect)}">'
        f"<fieldset><legend>Agreement</legend>{choices}</fieldset>"
        '<button class="add" name="answer" value="add">Add app</button> '
        '<button class="no" name="answer" value="decline">Decline</button></form>'
    )


def consent_routes(app: web.Application, sandbox: World) -> None:
    """Add the consent page to the server."""

    async def show(http: web.Request) -> web.Response:
        redirect = http.query.get("redirectUrl", "")
        if problem := _problem_with(sandbox, http.query.get("appPublicToken", ""), redirect):
            return _page("Nothing to approve", f"<p>{escape(problem)}</p>", 400)
        return _page("Give an app access", _form(sandbox, redirect))

    async def decide(http: web.Request) -> web.StreamResponse:
        form = {name: value for name, value in (await http.post()).items() if isinstance(value, str)}
        redirect = form.get("redirectUrl", "")
        if problem := _problem_with(sandbox, form.get("appPublicToken", ""), redirect):
            return _page("Nothing to approve", f"<p>{escape(problem)}</p>", 400)
        if form.get("answer") != "add":
            return _page("Nothing was shared", "<p>You declined. The app has no access to your agreement.</p>")
        chosen = [a for a in sandbox.agreements if str(a.number) == form.get("agreement")]
        if not chosen:
            return _page("Nothing to approve", "<p>Choose one of the agreements.</p>", 400)
        token = chosen[0].grant()
        if redirect:
            location = _redirect_target(redirect, token)
            return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})
        return _page("Access given", f"<p>Copy this grant token into the app:</p><p><code>{escape(token)}</code></p>")

    app.router.add_get("/consent", show)
    app.router.add_post("/consent", decide)
