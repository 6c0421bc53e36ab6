"""The door of the studio: only its own pages, in the browser of who started it, may come in.

A page of the studio can read and write files, so three things are asked for. The address must be
one of this machine's own (a foreign name that was made to point here is refused: DNS rebinding).
Whatever reads or changes something brings the cookie that the printed link gave. Whatever changes
something also comes from a page of this very address, which a browser tells and no page can forge.
"""

import hmac
import ipaddress
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genwright.serving.faults import ApiError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
READING = ("GET", "HEAD")


class Door:
    """Lets in the requests of the studio's own pages.

    Args:
        app: what comes after it.
        token: what the link must hold.
        host: a name under which the studio may be asked for, beside addresses and localhost.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str = "localhost") -> None:
        self.app, self.token = app, token
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                fresh = "no-store" if scope["path"].startswith("/api/") else "no-cache"
                headers.setdefault("Cache-Control", fresh)
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_host(headers.get("host", ""))
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
            if given and scope["method"] in READING and not scope["path"].startswith("/api/"):
                await self._enter(given[0], scope)(scope, receive, told)
                return
            if scope["path"].startswith("/api/"):
                self._check_page(scope["method"], headers)
                self._check_cookie(headers.get("cookie", ""), scope)
        except ApiError as error:
            await error.response()(scope, receive, told)
            return
        await self.app(scope, receive, told)

    def _enter(self, given: str, scope: Scope) -> RedirectResponse:
        """Exchange the link's token for a cookie, so that it stays in no address and history."""
        answer = RedirectResponse(scope["path"], 303)
        if hmac.compare_digest(given.encode(), self.token.encode()):
            answer.set_cookie(
                _cookie(scope), self.token, path="/", httponly=True, samesite="strict"
            )
        return answer

    def _check_host(self, host: str) -> None:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            if name.lower() not in self._names:
                raise ApiError(
                    403,
                    f"This studio is not called {name!r:.80}. Open the link that "
                    "`genwright studio` printed, or start it with --host.",
                    code="wrong_host",
                ) from None

    def _check_page(self, method: str, headers: Headers) -> None:
        own = {f"http://{headers.get('host')}", f"https://{headers.get('host')}"}
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        foreign = origin not in own if method not in READING else site != "same-origin"
        if foreign:
            raise ApiError(
                403,
                f"The request comes from {origin or 'no page at all'!r:.80}. Only pages of the "
                "studio may ask: open the link that `genwright studio` printed.",
                code="wrong_origin",
            )

    def _check_cookie(self, header: str, scope: Scope) -> None:
        wanted = _cookie(scope)
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        given = next((value for name, _, value in pairs if name == wanted), "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise ApiError(
                401,
                "The studio was started anew, or this browser has not been let in yet. Open the "
                "link that `genwright studio` printed.",
                code="not_let_in",
            )


def _cookie(scope: Scope) -> str:
    """Return the cookie's name: browsers send the cookies of one port to all others."""
    server = scope.get("server") or ("", 0)
    return f"genwright-studio-{server[1]}"
