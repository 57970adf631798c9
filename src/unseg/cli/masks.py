"""``unseg masks``: draw masks from boxes, or of whatever stands out, to look at and correct."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from unseg.cli.clicks import BOX_HELP, NOT_HELP, POINT_HELP, clicks_of
from unseg.cli.help_texts import FIND_HELP, SALIENCE_HELP, SHARD_HELP
from unseg.cli.protect import class_choice
from unseg.cli.shown import say, tell_stop
from unseg.errors import UnsegError


def masks(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Images and folders of images.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for the masks; it mirrors the tree of each input folder."
        ),
    ],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="COCO, YOLO, labelme or Pascal VOC annotations, a file or a folder. Without it, "
            "masks show whatever stands out."
        ),
    ] = None,
    box: Annotated[list[str] | None, typer.Option(metavar="L,T,R,B", help=BOX_HELP)] = None,
    point: Annotated[list[str] | None, typer.Option(metavar="X,Y", help=POINT_HELP)] = None,
    off: Annotated[list[str] | None, typer.Option("--not", metavar="X,Y", help=NOT_HELP)] = None,
    target: Annotated[
        Literal["union", "class", "instance"],
        typer.Option(
            help="One mask for all boxes, the numbers of their classes, or a number for each box "
            "(16 bits)."
        ),
    ] = "union",
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Classes to draw, by name or number. Default: all."),
    ] = None,
    find: Annotated[
        str, typer.Option(metavar="NAME,...", help=FIND_HELP)
    ] = "salient,proposed,whole-image",
    model: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="The generator whose base SAM draws the outlines."),
    ] = "default",
    salience: Annotated[
        str, typer.Option(metavar="default|none|FILE", help=SALIENCE_HELP)
    ] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also draw every mask over its photograph, into this folder."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing masks.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the masks that are there, and draw the others.")
    ] = False,
    shard: Annotated[str | None, typer.Option(metavar="N/COUNT", help=SHARD_HELP)] = None,
) -> None:
    """Draw masks for unseg protect: from boxes, or of whatever stands out.

    One box around each person (or car, or nucleus) is enough: the base SAM finds the outline in it.
    Correct what is wrong in any drawing program, and give the folder to unseg protect --masks.
    Where the annotations have outlines, these are taken. Exit codes: 0 done, 1 some images failed,
    2 nothing was started, 3 done with warnings, 130 stopped with Ctrl-C.

    Examples:

      unseg masks photos -o masks --boxes instances.json

      unseg masks photos -o masks --boxes labels --target class

      unseg masks photos -o masks

      unseg masks photos -o masks --overlay look

      unseg masks photo.jpg -o masks --box 120,40,310,400 --not 130,390
    """
    clicks = clicks_of(box, point, off)
    if boxes is None and clicks is None and target != "union":
        raise UnsegError(f"--target {target} needs --boxes: what stands out has no classes")
    if overwrite and resume:
        raise UnsegError("--overwrite and --resume cannot be combined: give one of them")
    from rich.console import Console
    from rich.progress import Progress

    from unseg.progress import Update
    from unseg.protect.draw import draw_masks
    from unseg.protect.settings import Settings
    from unseg.protect.shard import Shard

    settings = Settings(
        target=target, classes=None if classes is None else class_choice(classes),
        find=tuple(part.strip() for part in find.split(",") if part.strip()),
        model=model, salience=salience, device=device,
    )  # fmt: skip
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("drawing")

        def shown(update: Update) -> None:
            bar.update(task, completed=update.done, total=update.total)
            if update.item is not None:
                say(f"unseg: {update.item}", error=True, colour="red")

        try:
            drawn = draw_masks(
                inputs, output, settings, boxes=boxes, clicks=clicks, overlay=overlay,
                overwrite=overwrite, resume=resume, shard=Shard.of(shard), progress=shown,
            )  # fmt: skip
        except KeyboardInterrupt as stop:
            tell_stop(stop)
            raise
    say(f"{len(drawn.drawn)} masks in {output}; protect with --masks {output}")
    if drawn.without:
        say(f"{len(drawn.without)} images have no box and therefore no mask")
    for text, names in drawn.warnings.items():
        say(f"warning: {text}: {len(names)} (first: {names[0]})")
    if drawn.errors:
        raise typer.Exit(1)
    if drawn.warnings:
        raise typer.Exit(3)
