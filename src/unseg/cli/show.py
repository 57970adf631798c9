"""``unseg show``: one picture of what protection does to an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from unseg.cli.clicks import BOX_HELP, NOT_HELP, POINT_HELP, clicks_of
from unseg.cli.help_texts import KEY_HELP, VISIBILITY_HELP
from unseg.cli.shown import say
from unseg.errors import UnsegError


def show(
    image: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE", help="A protected image, with --original; else an original."
        ),
    ],
    original: Annotated[
        Path | None, typer.Option(help="What IMAGE was made of. Without, IMAGE is the original.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="The mask, or a folder of masks. Default: with --original the mask that unseg "
            "protect stored; else what is found."
        ),
    ] = None,
    box: Annotated[list[str] | None, typer.Option(metavar="L,T,R,B", help=BOX_HELP)] = None,
    point: Annotated[list[str] | None, typer.Option(metavar="X,Y", help=POINT_HELP)] = None,
    off: Annotated[list[str] | None, typer.Option("--not", metavar="X,Y", help=NOT_HELP)] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture to write, a PNG or JPEG file.")
    ] = Path("unseg-show.png"),
    visibility: Annotated[
        Literal["low", "normal", "strong"], typer.Option(help=VISIBILITY_HELP)
    ] = "normal",
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped model, or a .safetensors file.")
    ] = "default",
    key: Annotated[Path | None, typer.Option(metavar="FILE", help=KEY_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a picture that is there.")
    ] = False,
) -> None:
    """Draw an original, its protected form, the noise times 16 and the mask side by side.

    With --original a protected image is shown; without, IMAGE is protected for the picture alone,
    as unseg protect would do it, to try masks and clicks. The score says what people see of the
    noise. Exit codes: 0 done, 2 nothing was drawn, 3 drawn with warnings.

    Examples:

      unseg show protected/a.png --original photos/a.jpg

      unseg show photos/a.jpg --masks masks

      unseg show photos/a.jpg --point 200,220 --not 20,20 -o try.png
    """
    from unseg import files
    from unseg.protect.settings import Settings
    from unseg.report.shown import shown_pair, shown_preview

    clicks = clicks_of(box, point, off)
    if output.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise UnsegError(f"-o {output}: expected a name ending in .png or .jpg")
    for path in (image, original):
        if path is not None and not path.is_file():
            raise UnsegError(f"{path} is not a file: expected one image")
    files.refuse_taken(output.parent, output.name, overwrite=overwrite)
    if output.resolve() in {one.resolve() for one in (image, original, masks) if one is not None}:
        raise UnsegError(f"-o {output} is one of the images: choose another name")
    if original is None:
        settings = Settings(visibility=visibility, model=model, key=key, device=device)
        found = shown_preview(image, settings, masks, clicks)
    elif clicks is not None:
        raise UnsegError(
            "--box, --point and --not try something out, and --original shows what was done: leave "
            "one of them out"
        )
    else:
        found = shown_pair(original, image, masks)
    kind = "PNG" if output.suffix.lower() == ".png" else "JPEG"
    picture = found.picture()
    files.write_atomically(output, lambda path: picture.save(path, kind, quality=92))
    say(f"{found.name}: {found.sentence()}")
    say(f"picture: {output}")
    for text in found.warnings:
        say(f"warning: {text}")
    if found.warnings:
        raise typer.Exit(3)
