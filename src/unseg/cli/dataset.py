"""``unseg dataset``: protect a data set in its own layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

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
from unseg.cli.protect import range_choice
from unseg.cli.protect_summary import made_key
from unseg.cli.shown import FolderProgress
from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.protect.dataset import DatasetReport
    from unseg.protect.dataset_plan import DatasetPlan
    from unseg.protect.folder import Existing
    from unseg.protect.settings import OutputFormat


def dataset(
    root: Annotated[Path, typer.Argument(metavar="IN", help="Folder of the data set.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the protected data set, outside IN."),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="coco, coco-panoptic, voc, ade20k, cityscapes, yolo, yolo-seg, labelme, dicom, "
            "geotiff, pairs or your own module:Name; auto detects it."
        ),
    ] = "auto",
    splits: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Splits to protect, or all. Default: those that are trained on.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Classes to protect. Default: all."),
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Classes that are not protected.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is found, and write nothing.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Protect only this many images, the first ones, for a trial."),
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Protect only the images that a list (one name a line) or a manifest names.",
        ),
    ] = None,
    eps: Annotated[
        float, typer.Option(help="Largest change inside the masks, in 8-bit steps.")
    ] = 8.0,
    eps_bg: Annotated[
        float, typer.Option(help="Largest change outside the masks, in 8-bit steps.")
    ] = 2.0,
    target: Annotated[
        Literal["auto", "union", "class", "instance"],
        typer.Option(
            help="One mask prompt for all objects, one for each class, or one for each object; "
            "auto is "
            "class where the classes fill the images, else union."
        ),
    ] = "auto",
    visibility: Annotated[
        Literal["low", "normal", "strong"],
        typer.Option(help=VISIBILITY_HELP),
    ] = "normal",
    format: Annotated[
        Literal["auto", "png", "webp", "tiff", "jpeg", "same"],
        typer.Option(
            help="auto keeps names valid: PNG, but JPEG where the layout's loaders expect .jpg; "
            "png, webp and tiff are lossless, jpeg is not; same keeps every name and kind."
        ),
    ] = "auto",
    quality: Annotated[int, typer.Option(min=1, max=100, help=QUALITY_HELP)] = 98,
    range: Annotated[
        str,
        typer.Option(
            metavar="auto|data|full|LOW:HIGH",
            help=RANGE_HELP + " A DICOM series has one.",
        ),
    ] = "auto",
    strip: Annotated[
        Literal["none", "gps", "all"],
        typer.Option(help=STRIP_HELP + " Files that are copied keep all."),
    ] = "none",
    find: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Also protect images without annotation. " + FIND_HELP,
        ),
    ] = "",
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
            "--batch-size", min=1, max=256, help="Images that go through the model together."
        ),
    ] = 1,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE.html", help=SHEET_HELP)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Make every warning an error.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of an earlier run.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an earlier run and keep what it has done.")
    ] = False,
    shard: Annotated[str | None, typer.Option(metavar="N/COUNT", help=SHARD_HELP)] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help=TIMEOUT_HELP)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Protect a data set and write it in its own layout, for the same training code.

    The masks come from the annotations. Images of other splits, images without objects and all
    other files are copied byte for byte; files that mention an image whose suffix changed are
    rewritten and listed. Nothing is written outside OUT. unseg verify OUT --originals IN checks it.
    Exit codes: 0 done, 1 some images failed, 2 nothing was started, 3 done with warnings, 130
    stopped with Ctrl-C.

    Examples:

      unseg dataset coco -o coco-protected --dry-run

      unseg dataset coco -o coco-protected --classes person,dog

      unseg dataset VOC2012 -o protected --splits train --format png

      unseg dataset yolo -o trial --limit 5

      unseg dataset coco -o coco-protected --key coco.key
    """
    if overwrite and resume:
        raise UnsegError("--overwrite and --resume cannot be combined: give one of them")
    if output is None and not dry_run:
        raise UnsegError("give a folder for the protected data set with -o, or --dry-run")

    from unseg.noise import Budget
    from unseg.protect.dataset import protect_dataset
    from unseg.protect.dataset_plan import plan_dataset
    from unseg.protect.settings import Settings
    from unseg.protect.shard import Shard

    part = Shard.of(shard)
    existing: Existing = "overwrite" if overwrite else "resume" if resume else "refuse"
    for name, value in (("--eps", eps), ("--eps-bg", eps_bg)):
        if not 0 <= value <= 255:
            raise UnsegError(f"{name} {value:g}: expected 8-bit steps in 0..255")
    settings = Settings(
        budget=Budget(eps, eps_bg), visibility=visibility, batch_size=batch_size, model=model,
        salience=salience, device=device, strict=strict, quality=quality,
        range=range_choice(range), strip=strip, timeout=timeout, key=key,
    )  # fmt: skip
    with FolderProgress(quiet=as_json) as shown:
        plan = plan_dataset(
            root, layout=layout, splits=_names(splits), classes=_names(classes),
            exclude=_names(exclude) or (), limit=limit, only=only, find=_names(find) or (),
            progress=shown.update,
        )  # fmt: skip
    if not as_json:
        _print_plan(plan, format if format != "auto" else plan.format)
    if output is None or dry_run:
        if as_json:
            typer.echo(json.dumps(plan.describe(), indent=2))
        return
    if sheet is not None:
        from unseg.report.sheet import check_sheet, write_sheet

        check_sheet(sheet, output, overwrite=existing != "refuse")
    with FolderProgress(quiet=as_json) as shown:
        report = protect_dataset(
            plan, output, settings, target=target, format=format, existing=existing,
            shard=part, progress=shown.update,
        )  # fmt: skip
    if sheet is not None:
        write_sheet(sheet, report.folder.records, output, [root])
    if as_json:
        typer.echo(json.dumps(report.describe(), indent=2))
    else:
        _print_report(report)
        if part is not None:
            typer.echo(
                f"part {part} is done; when all are, the same command with --resume and without "
                "--shard copies the other files and joins the parts"
            )
    if not report.ok:
        raise typer.Exit(1)
    if report.warnings:
        raise typer.Exit(3)


def _names(text: str | None) -> list[str] | None:
    if text is None or not text.strip():
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


#: Classes named in the summary; the others are counted.
_SHOWN_CLASSES = 12


def _print_plan(plan: DatasetPlan, format: OutputFormat) -> None:
    found = plan.describe()
    classes = list(found["protected_classes"])
    more = f" and {len(classes) - _SHOWN_CLASSES} more" if len(classes) > _SHOWN_CLASSES else ""
    rows = {
        "layout": plan.layout.name,
        "splits": ", ".join(f"{name} {count}" for name, count in found["splits"].items()),
        "to protect": ", ".join(plan.splits),
        "classes": ", ".join(classes[:_SHOWN_CLASSES]) + more,
        "not protected": ", ".join(name for name in found["classes"] if name not in classes),
        "images": str(found["images"]),
        "with masks, in these splits": str(found["with_objects"]),
        "without objects: copied": str(found["without_objects"] or ""),
        "without annotation": str(found["without_annotation"] or ""),
        "in no split: copied": str(found["in_no_split"] or ""),
        "files in all": str(found["files"]),
        "written as": _written(plan, format),
    }
    _table(f"unseg dataset: {plan.root}", rows)
    for text in found["notes"]:
        typer.echo(text)
    for text in found["warnings"]:
        typer.echo(f"warning: {text}")


def _written(plan: DatasetPlan, format: OutputFormat) -> str:
    from unseg.protect.dataset import is_lossy

    lossy = is_lossy(plan, format)
    if format != "same":
        return f"{format.upper()}, {'not ' if lossy else ''}lossless; names follow"
    if not lossy:
        return "the kinds they are, lossless"
    reason = ": this layout's loaders expect .jpg" if plan.layout.fixed_names else ""
    return f"the kinds they are{reason}; JPEG is not lossless (--format png is)"


def _print_report(report: DatasetReport) -> None:
    from unseg.masks.named import named_text

    totals = report.folder.totals

    def figure(value: Any, unit: str = "") -> str:
        return "-" if value is None else f"{value:g}{unit}"

    rows = {
        "protected": f"{totals['protected']} of {totals['images']}",
        "kept from an earlier run": str(totals["kept_from_earlier_run"] or ""),
        "errors": str(totals["errors"] or ""),
        "found": named_text(totals.get("found", {})),
        "masks from": ", ".join(f"{n} {name}" for name, n in totals["mask_sources"].items()),
        "files copied": str(report.copied),
        "images with a new suffix": str(len(report.renamed) or ""),
        "largest change inside": figure(totals["largest_change_inside"], " steps"),
        "largest change outside": figure(totals["largest_change_outside"], " steps"),
        "over the budget through JPEG": str(totals["over_budget_lossy"] or ""),
        "of the noise through JPEG": _survived(report),
        "mean PSNR": figure(totals["mean_psnr"], " dB"),
        "seconds per image": figure(totals["seconds_per_image"]),
        "model": report.folder.description["model"],
    }
    _table(f"unseg dataset: {report.folder.out}", rows)
    if report.renamed:
        old, new = next(iter(report.renamed.items()))
        typer.echo(f"{len(report.renamed)} images have a new suffix, such as {old}: {new}")
    for name in report.rewritten[:20]:
        typer.echo(f"rewritten: {name}")
    if len(report.rewritten) > 20:
        typer.echo(f"rewritten: {len(report.rewritten) - 20} more, see unseg-dataset.json")
    if said := made_key(report.folder):
        typer.echo(said)
    for text, names in report.warnings.items():
        more = f": {len(names)} (first: {names[0]})" if names else ""
        typer.echo(f"warning: {text}{more}")


def _survived(report: DatasetReport) -> str:
    """What JPEG left of the noise: its correlation with the noise that was made, 0 to 1."""
    kept = [one.survival.correlation for one in report.folder.records if one.survival]
    return f"{sum(kept) / len(kept):.0%}" if kept else ""


def _table(title: str, rows: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, title=Text(title))
    for name, text in rows.items():
        if text:
            table.add_row(name, Text(text))  # user text is no markup
    Console().print(table)
