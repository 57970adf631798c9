"""Who may ask the page for what: this computer's own browser, from the page itself.

A page of another origin can send requests to 127.0.0.1, and with a name that it lets point there
(DNS rebinding) even read the answers. So the names that the page answers to are few, requests that
other pages cause are refused, and so is all that the page does not need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from unseg.ui.limits import ALL_BYTES, EVENT_BYTES, megabytes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_FILE = "/gradio_api/file="
_UPLOAD = "/gradio_api/upload"
#: What the page asks for: whole paths, and how those with something behind them begin.
_PATHS = frozenset({
    "/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json",
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/upload_progress", _UPLOAD,
    "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/startup-events",
    "/gradio_api/theme.css", "/gradio_api/app_id",
})  # fmt: skip
_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/", "/gradio_api/run/", _FILE)
#: The page's programs are gradio's, which builds some as it runs; nothing comes from elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
#: What a browser must not keep when the page is closed: everything but programs and fonts.
_KEPT = ("/assets/", "/static/")


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        text: a sentence that says why.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Guard:
    """Refuses what the page does not need, before anything else sees it.

    Args:
        app: what answers the rest (ASGI).
        port: that the page is served at.
        folder: the only one that files are served from.
    """

    def __init__(self, app: Application, port: int, folder: Path) -> None:
        self.app, self.folder = app, folder.resolve()
        self.hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page opens no WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        path = scope["path"]

        async def answered(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                extra = list(_HEADERS)
                kept = [one for one in message.get("headers", ()) if _may_stay(one[0], path)]
                if not path.startswith(_KEPT):
                    extra.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*kept, *extra]}
            await send(message)

        try:
            self.check(scope)
        except Refused as error:
            await _refuse(error, answered)
            return
        await self.app(scope, receive, answered)

    def check(self, scope: Scope) -> None:
        """Look at a request's line and headers.

        Args:
            scope: of ASGI, of type ``http``.

        Raises:
            Refused: when it is not to be answered.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        path, method = scope["path"], scope["method"]
        if headers.get("host") not in self.hosts:
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This page answers to 127.0.0.1 and localhost only: use the address that unseg ui "
                "printed.",
            )
        origin = headers.get("origin")
        opened = method == "GET" and path == "/" and origin is None  # a link or a bookmark
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            raise Refused(HTTPStatus.FORBIDDEN, "Requests of other pages are refused.")
        if not opened and headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            raise Refused(HTTPStatus.FORBIDDEN, "Requests of other pages are refused.")
        if path not in _PATHS and not path.startswith(_BELOW):
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such thing on this page.")
        if path.startswith(_FILE):
            self._check_file(path.removeprefix(_FILE))
        if method not in {"GET", "HEAD"}:
            _check_length(headers, path)

    def _check_file(self, name: str) -> None:
        """Refuse files outside the page's folder, as they are after links were followed."""
        try:
            inside = Path(name).resolve().is_relative_to(self.folder)
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside or not name.startswith("/"):
            raise Refused(HTTPStatus.FORBIDDEN, "Files outside the page's folder are not served.")


def _check_length(headers: dict[str, str], path: str) -> None:
    """Refuse bodies that are too long, before they are read."""
    length = headers.get("content-length", "")
    if not length.isdecimal():
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "The length of what is sent must be said first.")
    # Between the files of an upload lie a few lines.
    most = ALL_BYTES + EVENT_BYTES if path == _UPLOAD else EVENT_BYTES
    if int(length) > most:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"These are {megabytes(int(length))}, and this page takes {megabytes(ALL_BYTES)} at a "
            "time: drop fewer photographs, or use unseg protect.",
        )


def _may_stay(name: bytes, path: str) -> bool:
    """Whether a header of the answer is left as it is."""
    lower = name.lower()
    if lower == b"cache-control":
        return path.startswith(_KEPT)
    return lower not in {one for one, _ in _HEADERS} and not lower.startswith(b"access-control-")


async def _refuse(error: Refused, send: Send) -> None:
    body = (error.text + "\n").encode()
    await send({
        "type": "http.response.start",
        "status": int(error.status),
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # what is still being sent is not read
        ],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})
