"""``unseg protect``: add unlearnable noise to images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from unseg.cli import places
from unseg.cli.clicks import BOX_HELP, NOT_HELP, POINT_HELP, clicks_of
from unseg.cli.help_texts import (
    FIND_HELP,
    KEY_HELP,
    QUALITY_HELP,
    RANGE_HELP,
    SALIENCE_HELP,
    SHARD_HELP,
    SHEET_HELP,
    STRIP_HELP,
    TIMEOUT_HELP,
    VISIBILITY_HELP,
)
from unseg.cli.protect_summary import print_summary
from unseg.cli.shown import FolderProgress, say
from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.images.ranges import RangeChoice
    from unseg.protect.folder import Existing
    from unseg.protect.settings import Settings


def protect(
    inputs: Annotated[list[Any], places.INPUTS],
    output: Annotated[Any, places.OUTPUT],
    masks: Annotated[Any, places.MASKS] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="COCO, YOLO, labelme or Pascal VOC annotations, a file or a folder: outlines as "
            "they are, and in boxes without one what the base SAM finds."
        ),
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Protect only the images that a list (one name a line) or a manifest names.",
        ),
    ] = None,
    box: Annotated[list[str] | None, typer.Option(metavar="L,T,R,B", help=BOX_HELP)] = None,
    point: Annotated[list[str] | None, typer.Option(metavar="X,Y", help=POINT_HELP)] = None,
    off: Annotated[list[str] | None, typer.Option("--not", metavar="X,Y", help=NOT_HELP)] = None,
    eps: Annotated[
        float, typer.Option(help="Largest change inside the mask, in 8-bit steps.")
    ] = 8.0,
    eps_bg: Annotated[
        float, typer.Option(help="Largest change outside the mask, in 8-bit steps.")
    ] = 2.0,
    target: Annotated[
        Literal["union", "class", "instance"],
        typer.Option(
            help="One mask prompt for all objects, one for each class, or one for each object."
        ),
    ] = "union",
    classes: Annotated[
        str | None,
        typer.Option(
            help="Labels to protect, for example 6,15, or with annotations the names of classes, "
            "such as person,car. Default: all."
        ),
    ] = None,
    void: Annotated[
        str,
        typer.Option(
            help="Label to ignore, or none. auto ignores 255 in 8-bit maps and nothing in wider "
            "ones."
        ),
    ] = "auto",
    background: Annotated[
        str, typer.Option(help="Label of the background: 0, or none if 0 is a class.")
    ] = "0",
    silent: Annotated[
        str,
        typer.Option(
            metavar="auto|first|LABELS",
            help="With --target class --background none: labels that carry no noise, e.g. 0,1,4, "
            "while the others share one texture. auto chooses them; first gives every class a "
            "texture of its own, and label 0 none.",
        ),
    ] = "auto",
    visibility: Annotated[
        Literal["low", "normal", "strong"],
        typer.Option(help=VISIBILITY_HELP),
    ] = "normal",
    format: Annotated[
        Literal["png", "webp", "tiff", "jpeg", "same"],
        typer.Option(
            help="png, webp and tiff are lossless, jpeg is not; same keeps each file's kind."
        ),
    ] = "png",
    quality: Annotated[int, typer.Option(min=1, max=100, help=QUALITY_HELP)] = 98,
    range: Annotated[
        str,
        typer.Option(
            metavar="auto|data|full|LOW:HIGH",
            help=RANGE_HELP,
        ),
    ] = "auto",
    tint: Annotated[
        bool,
        typer.Option(
            "--tint",
            help="Tint colour files that show only grey, which protects microscopy and X-rays "
            "best. Without it, grey stays grey.",
        ),
    ] = False,
    strip: Annotated[
        Literal["none", "gps", "all"],
        typer.Option(help=STRIP_HELP),
    ] = "none",
    find: Annotated[
        str, typer.Option(metavar="NAME,...", help=FIND_HELP)
    ] = "salient,proposed,whole-image",
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped model, or a .safetensors file.")
    ] = "default",
    salience: Annotated[
        str, typer.Option(metavar="default|none|FILE", help=SALIENCE_HELP)
    ] = "default",
    key: Annotated[Path | None, typer.Option(metavar="FILE", help=KEY_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            "--batch",
            min=1,
            max=256,
            help="Images that go through the model together.",
        ),
    ] = 1,
    selftest: Annotated[
        bool,
        typer.Option(
            "--selftest",
            help="Afterwards train a small model on your clean and on the protected images, and "
            "show the score of each; takes a minute or two. Needs --masks.",
        ),
    ] = False,
    posted: Annotated[
        bool,
        typer.Option(
            "--posted",
            help="Say how much of the noise a network leaves that scales to 1080 pixels and "
            "compresses (unseg posted has other presets).",
        ),
    ] = False,
    timings: Annotated[
        bool, typer.Option("--timings", help="Show the seconds of each stage.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE.html", help=SHEET_HELP)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Make every warning an error.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace images of an earlier run.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an earlier run and keep what it has done.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Protect even what unseg protect wrote before.")
    ] = False,
    shard: Annotated[str | None, typer.Option(metavar="N/COUNT", help=SHARD_HELP)] = None,
    engine: Annotated[str, places.ENGINE] = "serial",
    workers: Annotated[int | None, places.WORKERS] = None,
    manifest: Annotated[Literal["jsonl", "parquet"], places.MANIFEST] = "jsonl",
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help=TIMEOUT_HELP)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Add bounded noise to images, so that segmentation models cannot learn from them.

    Originals are never touched. What was done to each image is in OUT/unseg-manifest.jsonl.
    An image whose mask has no foreground has nothing to protect and is written as it is.
    Exit codes: 0 all images were dealt with, 1 some failed or none needed protection, 2 nothing
    was started, 3 all were dealt with but there are warnings to look at, 130 stopped with Ctrl-C:
    the images in hand are finished first.

    Examples:

      unseg protect photos -o protected

      unseg masks photos -o masks --boxes boxes.json

      unseg protect photos -o protected --masks masks --resume

      unseg protect frames -o protected --masks labels --target class --background none

      unseg protect frames -o protected --masks labels --target class --silent 0,1,4

      unseg protect portraits -o protected --visibility low

      unseg protect photos -o protected --masks masks --selftest

      unseg protect photos -o protected --sheet look.html

      unseg protect a.jpg b.png -o protected --format same --json

      unseg protect portrait.jpg -o protected.png

      unseg protect portrait.jpg -o protected.png --point 200,220 --not 20,20

      unseg protect pair.jpg -o protected.png --box 120,40,310,400 --box 330,60,500,400

      unseg protect slides -o protected --tint

      unseg protect photos -o protected --key photos.key

      unseg protect photos -o protected --resume --shard 2/8
    """
    if overwrite and resume:
        raise UnsegError("--overwrite and --resume cannot be combined: give one of them")
    existing: Existing = "overwrite" if overwrite else "resume" if resume else "refuse"
    clicks = clicks_of(box, point, off)
    settings = _settings(
        eps=eps, eps_bg=eps_bg, classes=classes, void=void, background=background, silent=silent,
        target=target, visibility=visibility, format=format, batch_size=batch_size,
        quality=quality, range=range, tint=tint, strip=strip,
        find=tuple(part.strip() for part in find.split(",") if part.strip()),
        model=model, salience=salience, device=device, strict=strict, timeout=timeout, key=key,
    )  # fmt: skip

    from unseg.cli.selftest import check_selftest, run_selftest
    from unseg.protect.anywhere import is_elsewhere, refuse_elsewhere
    from unseg.protect.engines import ENGINES
    from unseg.protect.folder import protect_folder
    from unseg.protect.shard import Shard
    from unseg.protect.single import is_single
    from unseg.protect.timings import measured

    if is_elsewhere(inputs, output):
        refuse_elsewhere({"--sheet": sheet, "--selftest": selftest, "--posted": posted})
    if sheet is not None:
        from unseg.report.sheet import check_sheet, write_sheet

        if is_single(inputs, output):
            raise UnsegError("--sheet is for folders: unseg show draws a single image")
        check_sheet(sheet, output, overwrite=existing != "refuse")
    part, runner = Shard.of(shard), ENGINES.build(engine, workers=workers)
    runner.start()
    if selftest and part is not None:
        raise UnsegError("--selftest learns from all images: leave --shard out")
    condition = check_selftest(inputs, masks, settings) if selftest else ""
    with FolderProgress(quiet=as_json) as shown, measured() as spent:
        report = protect_folder(
            inputs, output, settings, masks=masks, boxes=boxes, only=only, clicks=clicks,
            existing=existing, again=again, shard=part, engine=runner, manifest=manifest,
            progress=shown.update,
        )  # fmt: skip
    if sheet is not None:
        write_sheet(sheet, report.records, output, inputs)
    content: dict[str, Any] = {}
    if as_json:
        errors = [{"source": one.source, "error": one.error} for one in report.errors]
        content = {
            "output": str(output),
            "errors": errors,
            "warnings": report.warnings,
            **report.description,
        }
    else:
        print_summary(report)
    if timings:
        content["timings"] = {name: round(one, 3) for name, one in spent.wall.items()}
        for name, one in spent.wall.items():
            say(f"{one:9.3f} s {name}", error=as_json)
    if posted and report.totals["protected"]:
        from unseg.protect.posted import DEFAULT_PLATFORM, PLATFORMS, summary
        from unseg.protect.posted import posted as left

        platform = PLATFORMS[DEFAULT_PLATFORM]
        with FolderProgress(quiet=as_json) as shown:
            found = left(report.out, inputs, platform, progress=shown.update)
        content["posted"] = summary(found, platform)
        say(content["posted"], error=as_json)
    if condition and masks is not None:
        sentence = run_selftest(inputs[0], masks, settings, condition)
        content["selftest"] = sentence
        typer.echo(sentence, err=as_json)
    if as_json:
        typer.echo(json.dumps(content, indent=2))
    if not report.ok:
        raise typer.Exit(1)
    if report.warnings:
        raise typer.Exit(3)


def _settings(
    *, eps: float, eps_bg: float, classes: str | None, void: str, background: str, silent: str,
    range: str, tint: bool, **others: Any,
) -> Settings:  # fmt: skip
    """Read the options that are text; what is wrong is named as it was typed."""
    from unseg.noise import Budget
    from unseg.protect.noises import DEFAULT_NOISES, TINTED_NOISES
    from unseg.protect.settings import Settings

    for name, value in (("--eps", eps), ("--eps-bg", eps_bg)):
        if not 0 <= value <= 255:
            raise UnsegError(f"{name} {value:g}: expected 8-bit steps in 0..255")
    if max(eps, eps_bg) < 1:
        raise UnsegError(
            f"--eps {eps:g} and --eps-bg {eps_bg:g} are both below one 8-bit step, so nothing "
            "would be protected: give --eps 1 or more"
        )
    if background not in {"0", "none"}:
        raise UnsegError(f"--background {background}: expected 0 or none")
    named = silent not in {"auto", "first"}
    if named and others["target"] != "class":
        raise UnsegError(f"--silent {silent} needs --target class: a union has no labels")
    return Settings(
        budget=Budget(eps, eps_bg),
        classes=None if classes is None else class_choice(classes),
        void="auto" if void == "auto" else None if void == "none" else _label("--void", void),
        background=0 if background == "0" else None,
        silent=_labels("--silent", silent) if named else silent,  # type: ignore[arg-type]
        range=range_choice(range),
        noises=TINTED_NOISES if tint else DEFAULT_NOISES,
        **others,
    )


def range_choice(text: str) -> RangeChoice:
    """What ``--range`` says.

    Raises:
        UnsegError: when it says nothing that is known.
    """
    if text in {"auto", "data", "full"}:
        return cast("RangeChoice", text)
    from unseg.images.ranges import number_of

    low, _, high = text.partition(":")
    try:
        ends = number_of(low), number_of(high)
    except ValueError:
        ends = 0, 0
    if not ends[0] < ends[1]:
        raise UnsegError(
            f"--range {text}: expected auto, data, full, or the lowest and the highest sample in "
            "use, such as 0:4095"
        )
    return ends


def class_choice(text: str) -> tuple[int | str, ...]:
    """What ``--classes`` says: numbers of labels, and names.

    Raises:
        UnsegError: when one is empty.
    """
    parts = [part.strip() for part in text.split(",")]
    if "" in parts:
        raise UnsegError(
            f"--classes {text}: expected label numbers such as 6,15, or names of classes"
        )
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _labels(option: str, text: str) -> tuple[int, ...]:
    return tuple(sorted({_label(option, part) for part in text.split(",")}))


def _label(option: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise UnsegError(f"{option} {text}: expected label numbers such as 6,15")
    return int(text)
