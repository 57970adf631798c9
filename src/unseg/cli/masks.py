"""``unseg masks``: draw masks from boxes, or of what stands out, to look at and correct."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unseg.cli.protect import SALIENCE_HELP
from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.protect.draw import Drawer


def masks(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Images and folders of images.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the masks; mirrors each input folder."),
    ],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="COCO file (.json), or folder of YOLO files (.txt). Without: what stands out."
        ),
    ] = None,
    target: Annotated[
        Literal["union", "class", "instance"],
        typer.Option(help="One mask in all, the boxes' classes, or a number a box (16 bits)."),
    ] = "union",
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The generator whose base SAM is asked.")
    ] = "default",
    salience: Annotated[
        str, typer.Option(metavar="default|none|FILE", help=SALIENCE_HELP)
    ] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace masks.")] = False,
) -> None:
    """Draw masks for unseg protect: from boxes, or of what stands out.

    A box a person (or car, or nucleus) is enough: the base SAM finds the outline inside it.
    Correct what is wrong in any drawing program, and give the folder to unseg protect --masks.
    Exit codes: 0 done, 1 some images failed, 2 nothing was started.

    Examples:

      unseg masks photos -o masks --boxes instances.json

      unseg masks photos -o masks --boxes labels --target class

      unseg masks photos -o masks
    """
    from unseg.masks.boxes import read_boxes
    from unseg.protect.draw import Drawer
    from unseg.protect.plan import make_plan
    from unseg.protect.sources import load_models, pick_device

    if boxes is None and target != "union":
        raise UnsegError(f"--target {target} needs --boxes: proposals have no classes")
    given = None if boxes is None else read_boxes(boxes)
    plan = make_plan(inputs, output)
    _, proposer = load_models(model, pick_device(device), salience)
    drawer = Drawer(plan, proposer, given, target, overwrite=overwrite)
    if not drawer.jobs:
        raise UnsegError(f"--boxes {boxes} has no box for any of the {len(plan.jobs)} images")
    errors = _progress(drawer)
    typer.echo(f"{drawer.drawn} masks in {output}; protect with --masks {output}")
    if drawer.without:
        typer.echo(f"{drawer.without} images have no box and got no mask")
    if errors:
        raise typer.Exit(1)


def _progress(drawer: Drawer) -> list[str]:
    from rich.console import Console
    from rich.progress import track

    console, errors = Console(stderr=True), []
    for job in track(drawer.jobs, "drawing", console=console):
        try:
            drawer.draw(job)
        except UnsegError as error:
            errors.append(str(error))
            console.print(f"[red]error[/red] {error}", highlight=False, soft_wrap=True)
    return errors
