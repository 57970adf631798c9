"""``unseg ui``: a page on this computer, to protect photographs without typing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseg.cli.help_texts import KEY_HELP
from unseg.cli.shown import say


def ui(
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            show_default="7860, or any that is free",
            help="Port on 127.0.0.1; 0 is any that is free.",
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")
    ] = True,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help=KEY_HELP)] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped model, or a .safetensors file.")
    ] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Open a page in which photographs are dropped, clicked on, protected and compared.

    The page is served on 127.0.0.1, to this computer alone, and asks no other. Photographs lie in
    a private temporary folder until you close the page or press Ctrl-C. Needs the extra ui:
    pip install 'unseg[ui]'.

    Examples:

      unseg ui

      unseg ui --port 8000 --no-browser

      unseg ui --key photos.key --device cpu
    """  # fmt: skip
    from unseg.extras import require

    require("ui", "unseg ui")
    from unseg.protect.settings import Settings
    from unseg.ui.server import serve

    def ready(address: str) -> None:
        say(f"the page is at {address}")
        say("Ctrl-C ends it and deletes what was uploaded")

    say("starting ...", error=True)
    settings = Settings(key=key, model=model, device=device)
    serve(settings, port=port, browser=browser, ready=ready)
