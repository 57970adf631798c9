"""The page as a server on 127.0.0.1: started, and left without a trace."""

from __future__ import annotations

import os
import signal
import socket
import threading
import warnings
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.protect.settings import Settings
from unseg.ui.actions import Actions
from unseg.ui.engine import PageModels
from unseg.ui.folder import private_folder
from unseg.ui.guard import Guard
from unseg.ui.limits import FILE_BYTES
from unseg.ui.session import Session, Sessions

HOST = "127.0.0.1"
#: Where the page is where nobody says otherwise, and this is free.
PORT = 7860


def serve(
    settings: Settings,
    *,
    port: int | None = None,
    browser: bool = True,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the page until Ctrl-C or a request to end.

    Args:
        settings: device, key and model.
        port: on 127.0.0.1; 0 is any that is free, None is :data:`PORT` or any.
        browser: whether to open the page in a browser.
        ready: told the address when the page answers.

    Raises:
        UnsegError: when the port is taken, the extra is missing, or there is no usable key.
    """
    require("ui", "unseg ui")
    with private_folder() as folder, _bound(port) as listening, _ends_in_order():
        engine = PageModels(settings, folder)
        sessions = Sessions(folder, engine)
        number = listening.getsockname()[1]
        app = Guard(application(Actions(sessions), folder), number, folder)
        # The first visitor should not wait for the models; what is wrong with them is told there.
        threading.Thread(target=_load, args=(engine,), daemon=True).start()
        address = f"http://{HOST}:{number}/"

        def started() -> None:
            ready(address)
            if browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        try:
            _run(app, listening, started)
        finally:
            sessions.each(Session.remove)


def application(actions: Actions, folder: Path) -> Any:
    """The page as an ASGI application; without a :class:`Guard` around it.

    Args:
        actions: what its controls do.
        folder: for what is uploaded.
    """
    _quieten(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of gradio's own dependencies
        import fastapi
        import gradio

        from unseg.ui.page import Page, theme
        from unseg.ui.style import CSS, HEAD

        parent = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        blocks = Page(actions).blocks
        blocks.queue(default_concurrency_limit=4)
        return gradio.mount_gradio_app(
            parent, blocks, "/", server_name=HOST, footer_links=[], run_history=False,
            max_file_size=FILE_BYTES, ssr_mode=False, mcp_server=False, pwa=False,
            enable_monitoring=False, show_error=False, theme=theme(), css=CSS, head=HEAD,
        )  # fmt: skip


def _quieten(folder: Path) -> None:
    """Gradio's settings, read when it is imported: it tells nobody, and keeps nothing elsewhere."""
    os.environ.update({
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder / "examples"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    })  # fmt: skip


def _load(engine: PageModels) -> None:
    with suppress(Exception):
        _ = engine.tools


def _bound(port: int | None) -> socket.socket:
    """A socket on this computer alone.

    Raises:
        UnsegError: when the port cannot be had.
    """
    tries = (PORT, 0) if port is None else (port,)
    for number in tries:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, number))
        except OSError as error:
            listening.close()
            if number == tries[-1]:
                raise UnsegError(
                    f"--port {number} cannot be used ({error.strerror}): give another, or 0 for "
                    "any that is free"
                ) from error
            continue
        return listening
    raise AssertionError("a port was found or refused")


def _run(app: Guard, listening: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until asked to end."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    config = uvicorn.Config(
        app, log_level="error", access_log=False, timeout_graceful_shutdown=2,
        server_header=False, lifespan="on",
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listening])


class _ends_in_order:
    """Make a request to end, or a closed terminal, leave through ``finally`` as Ctrl-C does."""

    def __enter__(self) -> None:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                self._before[number] = signal.signal(number, self._leave)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)
