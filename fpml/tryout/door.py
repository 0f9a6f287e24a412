"""Who may come in: this machine's own browser, on this page, with bodies of a bounded size.

Any page that the browser has open can send requests to loopback. One on another host whose name was made to mean 127.0.0.1
(DNS rebinding) sends its own name as Host; any other one sends its own Origin."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fpml.base.environment import LOOPBACK

ASKED = 64 * 2**10  # bytes of any body but a picture's
METHODS = ("GET", "HEAD", "POST")
HEADERS = {
    # Nothing from elsewhere, no inline script or style; pictures that the script has made.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # nor does the browser keep anything on disk
}


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, largest: dict[str, int]) -> None:
        self.app = app
        self.largest = largest  # bytes of a body, by how its path begins; ASKED for all others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        limit = next((size for start, size in self.largest.items() if scope["path"].startswith(start)), ASKED)
        refused = _refusal(scope["method"], Headers(scope=scope), limit)
        if refused is not None:
            await JSONResponse({"error": refused[1]}, refused[0])(scope, receive, with_headers)
            return
        await self.app(scope, _counted(receive, limit), with_headers)


def _refusal(method: str, headers: Headers, limit: int) -> tuple[int, str] | None:
    """The status and the line for a request that may not come in."""
    host, origin, length = (headers.get(name, "") for name in ("host", "origin", "content-length"))
    if _hostname(host) not in LOOPBACK:
        return HTTPStatus.MISDIRECTED_REQUEST, f"the host is '{host[:80]}'; allowed: {', '.join(LOOPBACK)}"
    if method not in METHODS:
        return HTTPStatus.METHOD_NOT_ALLOWED, f"the method is {method}; allowed: {', '.join(METHODS)}"
    if method == "POST" and origin != f"http://{host}":
        return HTTPStatus.FORBIDDEN, f"the request's origin is '{origin[:80]}'; allowed: http://{host}, this page's own"
    if length and (not length.isdigit() or int(length) > limit):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(limit)
    return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def too_large(limit: int) -> str:
    return f"too large: more than the limit of {limit:,} bytes"


def _counted(receive: Receive, limit: int) -> Receive:
    """What comes in, until it is more than a body may have, whatever its Content-Length said."""
    got = 0

    async def counting() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(limit))
        return message

    return counting
