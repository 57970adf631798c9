"""``unseg card``: the model card of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseg.extras import require
from unseg.files import write_atomically


def card(
    run: Annotated[Path, typer.Argument(help="Folder written by unseg train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the card.")],
    weights: Annotated[
        Path | None, typer.Option(help="The checkpoint. Default: RUN/best.safetensors.")
    ] = None,
) -> None:
    """Write a training run's model card: curves, log and facts.

    Example:

      unseg card runs/first -o docs/model
    """
    require("train", "unseg card", packages=("matplotlib",))

    from unseg.report.card import curves, model_card, read_log

    log = read_log(run)
    text = model_card(weights or run / "best.safetensors", run, "curves.png")
    output.mkdir(parents=True, exist_ok=True)
    curves(log, output / "curves.png")
    write_atomically(output / "README.md", text.encode())
    write_atomically(output / "log.jsonl", (run / "log.jsonl").read_bytes())
    typer.echo(f"wrote {output}/README.md, curves.png and log.jsonl")
