"""``unseg posted``: what a network leaves of the noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from unseg.cli.shown import FolderProgress, say

PRESET_HELP = (
    "What is done to what is posted: feed (1080 pixels, JPEG 75), large (2048, 85), messenger "
    "(1600, 70), preview (600, 75), all with colours at half size, or gallery (4096, 92, full "
    "colours)."
)


def posted(
    protected: Annotated[
        Path, typer.Argument(metavar="PROTECTED", help="An image, or a folder, that was protected.")
    ],
    originals: Annotated[
        list[Path],
        typer.Option(help="File or folder that was protected; repeat the option for several."),
    ],
    preset: Annotated[
        Literal["feed", "large", "messenger", "preview", "gallery"], typer.Option(help=PRESET_HELP)
    ] = "feed",
    side: Annotated[
        int | None, typer.Option(min=16, help="Longest side that is kept, in pixels.")
    ] = None,
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="Of the JPEG.")] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.jpg", help="Write the one image as posted.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Say how much of the noise a network leaves that scales and compresses what is posted.

    Nothing is sent anywhere: scaling and JPEG are done here, and the noise inside the mask is
    compared with what is left of it.

    Examples:

      unseg posted protected --originals photos

      unseg posted protected/a.png --originals photos --preset messenger

      unseg posted protected/a.png --originals photos/a.jpg --save posted.jpg
    """
    from dataclasses import asdict, replace

    from unseg.errors import UnsegError
    from unseg.files import write_atomically
    from unseg.images.reader import read_rgb
    from unseg.protect.posted import PLATFORMS, publish, summary
    from unseg.protect.posted import posted as find

    platform = PLATFORMS[preset]
    platform = replace(platform, side=side or platform.side, quality=quality or platform.quality)
    if save is not None and not protected.is_file():
        raise UnsegError(f"--save writes one image, and {protected} is not a file: name one")
    if save is not None and save.exists():
        raise UnsegError(f"{save} exists already: choose another name with --save")
    with FolderProgress(quiet=as_json) as shown:
        found = find(protected, originals, platform, progress=shown.update)
    if save is not None:
        write_atomically(save, publish(read_rgb(protected), platform)[1])
    sentence = summary(found, platform)
    if as_json:
        content = {
            "platform": asdict(platform),
            "sentence": sentence,
            "images": [asdict(one) for one in found],
        }
        typer.echo(json.dumps(content, indent=2))
    else:
        say(sentence)
