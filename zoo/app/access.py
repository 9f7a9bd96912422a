"""Who may use the server: token, host and origin of a request, and the headers of answers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo.app.request_error import RequestError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SAFE_METHODS = ("GET", "HEAD")
FRAMES = "https://huggingface.co"
"""Who may show the page of a public server in a frame."""

NO_TOKEN = "this address needs a token; open the address that regzoo app printed, which contains it"


@dataclass(frozen=True)
class Access:
    """The rules of one server. `token` is None for a public one, which anybody may use."""

    token: str | None
    port: int

    @property
    def cookie(self) -> str:
        """The name of the cookie; servers on other ports have cookies of their own."""
        return f"regzoo-{self.port}"

    def refuse(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Raise `RequestError` unless a request comes from the page of this server.

        A name that an attacker points at 127.0.0.1 is recognised by `Host`, and the page of another
        site by `Origin` and `Sec-Fetch-Site`.
        """
        host = headers.get("host", "")
        if self.token is not None and _name_of(host) not in LOOPBACK:
            raise RequestError(f"this server is not {host[:200]!r}; open it as 127.0.0.1", 421)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise RequestError(f"requests from {origin[:200]} are not answered", 403)
        opens_page = method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opens_page:
            raise RequestError("requests from the page of another site are not answered", 403)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request has the token, in its cookie or as a bearer token."""
        if self.token is None:
            return True
        given = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        stored = cookies[self.cookie].value if self.cookie in cookies else ""
        return self.is_token(given) or self.is_token(stored)

    def is_token(self, text: str) -> bool:
        """Return whether a text is the token; the time that this takes does not depend on it."""
        return self.token is not None and secrets.compare_digest(text.encode(), self.token.encode())

    def welcome(self) -> Response:
        """Return the answer to the printed address: the cookie, and the address without token."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self.token or "", httponly=True, samesite="strict")
        return answer

    def headers(self, scripts: str) -> dict[str, str]:
        """Return the headers of every answer; `scripts` are the hashes of the inline scripts."""
        frames = "'none'" if self.token is not None else f"'self' {FRAMES}"
        policy = {
            "default-src": "'none'",
            "script-src": f"'self' {scripts}".strip(),
            "style-src": "'self'",
            "img-src": "'self' data: blob:",
            "connect-src": "'self' data: blob:",
            "font-src": "'self' data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": frames,
        }
        return {
            "Content-Security-Policy": "; ".join(f"{key} {value}" for key, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
        }


def _name_of(host: str) -> str:
    """Return the name of a `Host` header without its port and without brackets."""
    return re.sub(r":\d+$", "", host).strip("[]").lower()


class AccessCheck:
    """Middleware that applies the rules before any other code sees a request."""

    def __init__(self, app: ASGIApp, access: Access, scripts: str) -> None:
        self.app = app
        self.access = access
        self.headers = access.headers(scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on; every answer gets the headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is not passed on."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        try:
            self.access.refuse(method, path, headers)
        except RequestError as refusal:
            return JSONResponse({"error": str(refusal)}, refusal.status)
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if method == "GET" and path == "/" and len(tokens) == 1 and self.access.is_token(tokens[0]):
            return self.access.welcome()
        if self.access.admits(headers):
            return None
        if path == "/":
            return PlainTextResponse(NO_TOKEN, 403)
        return JSONResponse({"error": NO_TOKEN}, 403)
