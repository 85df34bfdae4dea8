"""What the tests of pages share: a browser with cookies, Pike's links, and reading forms."""

import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import aiohttp
from harness import Harness

from worker.handlers.connect_links import Link, address
from worker.sandbox import Agreement

VIEWER_TOKEN, OPERATOR_TOKEN = "viewer-token-for-tests-1", "operator-token-for-tests-2"
OPERATORS = f"vera/viewer:{VIEWER_TOKEN},otto:{OPERATOR_TOKEN}"
WORKSPACE = "ws-test"


@dataclass
class Site:
    """A running worker and the address of its pages."""

    running: Harness
    address: str

    def link(self, workspace: str = WORKSPACE, *, lasts_s: float = 300, by: str = "anna@pike.example") -> str:
        """Return a link as Pike would make it."""
        key = self.running.settings.link_keys()[0]
        now = self.running.worker.clock.now().timestamp()
        return address(self.address, Link(workspace, by, int(now + lasts_s), secrets.token_urlsafe(16)), key)


@dataclass
class Answer:
    """An answer, read whole."""

    status: int
    headers: Any
    text: str

    @property
    def location(self) -> str:
        """Where a redirect goes."""
        return str(self.headers["Location"])

    @property
    def fields(self) -> dict[str, str]:
        """The form's values as a browser would send them back without a touch."""
        found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.text))
        for name, body in re.findall(r'<select id="[^"]+" name="([^"]+)".*?>(.*?)</select>', self.text, re.DOTALL):
            chosen = re.search(r'value="([^"]*)" selected', body) or re.search(r'value="([^"]*)"', body)
            assert chosen is not None
            found[name] = html.unescape(chosen[1])
        return found

    @property
    def words(self) -> str:
        """The text that a person sees."""
        return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", self.text).split()))


@dataclass
class Browser:
    """Keeps cookies; follows nothing by itself."""

    site: Site
    _session: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._session.close()

    async def get(self, where: str, **options: Any) -> Answer:
        """Load an address."""
        return await self._ask("GET", where, **options)

    async def post(self, where: str, fields: dict[str, str], **options: Any) -> Answer:
        """Send a form."""
        return await self._ask("POST", where, data=fields, **options)

    async def _ask(self, method: str, where: str, **options: Any) -> Answer:
        url = where if where.startswith("http") else self.site.address + where
        async with self._session.request(method, url, allow_redirects=False, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    def cookies(self) -> dict[str, str]:
        """Return the cookies kept."""
        return {cookie.key: cookie.value for cookie in self._session.cookie_jar}

    async def open(self, link: str | None = None) -> str:
        """Open Pike's link; returns the address that e-conomic is asked to send the browser back to."""
        answer = await self.get(link or self.site.link())
        assert answer.status == 303, answer.words
        return parse_qs(urlsplit(answer.location).query)["redirectUrl"][0]

    async def consent(self, link: str | None = None, agreement: Agreement | None = None) -> Answer:
        """Open the link, press "Add app" on e-conomic's page, and load where it sends the browser."""
        answer = await self.get(link or self.site.link())
        assert answer.status == 303, answer.words
        page = await self.get(answer.location)
        assert page.status == 200
        chosen = agreement or self.site.running.agreement
        added = await self.post(answer.location, {**page.fields, "agreement": str(chosen.number), "answer": "add"})
        return await self.get(added.location)

    async def confirm(self, came_back: Answer, **fields: str) -> Answer:
        """Load the confirmation page that an answer leads to and press Connect."""
        assert came_back.status == 303, came_back.words
        page = await self.get(came_back.location)
        assert page.status == 200, page.words
        return await self.post(came_back.location, {**page.fields, "answer": "connect", **fields})
