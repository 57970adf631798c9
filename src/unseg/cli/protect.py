"""``unseg protect``: add unlearnable noise to images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.masks.labels import LabelRules
    from unseg.protect.manifest import Settings
    from unseg.protect.plan import Plan
    from unseg.protect.run import Run
    from unseg.protect.sources import NoiseSource

SALIENCE_HELP = (
    "What finds the foreground where no mask is given: the shipped head, none (the base's own "
    "proposals), or one of unseg train-salience."
)


def protect(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Images, or folders of them.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write to; mirrors each input folder.")
    ],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of mask PNGs with the images' stems (unseg masks makes some). Without: "
            "what stands out, which protects less."
        ),
    ] = None,
    eps: Annotated[
        float, typer.Option(help="Largest change inside the mask, in 8-bit steps.")
    ] = 8.0,
    eps_bg: Annotated[
        float, typer.Option(help="Largest change outside the mask, in 8-bit steps.")
    ] = 2.0,
    target: Annotated[
        Literal["union", "class", "instance"],
        typer.Option(help="One mask prompt in all, one a class, or one an instance."),
    ] = "union",
    classes: Annotated[
        str | None, typer.Option(help="Labels that are foreground, e.g. 6,15. Without: all.")
    ] = None,
    void: Annotated[
        str,
        typer.Option(
            help="Label to ignore, or none; auto is 255 in 8-bit maps and none in wider ones."
        ),
    ] = "auto",
    background: Annotated[
        str, typer.Option(help="Background label, 0; or none when 0 is a class.")
    ] = "0",
    silent: Annotated[
        str,
        typer.Option(
            metavar="auto|first|LABELS",
            help="With --target class --background none: labels that carry no noise, e.g. 0,1,4, "
            "while the others share one texture; auto chooses them, first gives every class a "
            "texture of its own and none to label 0.",
        ),
    ] = "auto",
    visibility: Annotated[
        Literal["low", "normal", "strong"],
        typer.Option(
            help="How much of the bound is used where the noise would be seen most: strong uses "
            "all of it everywhere."
        ),
    ] = "normal",
    format: Annotated[
        Literal["png", "webp", "same"],
        typer.Option(help="png and webp are lossless; same keeps JPEG, which is not."),
    ] = "png",
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped model, or a .safetensors file.")
    ] = "default",
    salience: Annotated[
        str, typer.Option(metavar="default|none|FILE", help=SALIENCE_HELP)
    ] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    batch: Annotated[
        int, typer.Option(min=1, max=256, help="Images in one pass of the model.")
    ] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace images of an earlier run.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an earlier run; keep what is done.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Add bounded, nearly invisible noise to images, so that models cannot learn from them.

    Originals are never touched. What was done to each image is in OUT/unseg-manifest.jsonl.
    Exit codes: 0 every image is protected, 1 some are not, 2 nothing was started.

    Examples:

      unseg protect photos -o protected

      unseg masks photos -o masks --boxes boxes.json

      unseg protect photos -o protected --masks masks --resume

      unseg protect frames -o protected --masks labels --target class --background none

      unseg protect frames -o protected --masks labels --target class --silent 0,1,4

      unseg protect portraits -o protected --visibility low

      unseg protect a.jpg b.png -o protected --format same --json
    """
    settings = _settings(
        masks, eps, eps_bg, target, classes, void, background, silent, format, batch, visibility
    )
    if overwrite and resume:
        raise UnsegError("--overwrite and --resume exclude each other: give one of them")

    from unseg.protect.plan import make_plan
    from unseg.protect.run import Existing, Run, check_output
    from unseg.protect.sources import load_models, pick_device

    plan = make_plan(inputs, output, masks, format, batch)
    existing: Existing = "overwrite" if overwrite else "resume" if resume else "refuse"
    chosen = pick_device(device)
    source, proposer = load_models(model, chosen, salience)
    settings = replace(settings, salience=proposer.sha256)
    if silent == "auto" and target == "class" and background == "none":
        check_output(plan.out, existing)  # the run would say so, but only after half a minute
        found = _chosen_silent(plan, settings.rules, source, resume=resume, quiet=as_json)
        settings = replace(settings, rules=replace(settings.rules, silent=found))
    run = Run(plan, settings, source, proposer, existing=existing, device=chosen)
    errors = _progress(run, quiet=as_json)
    summary = run.finish()
    if as_json:
        content = {"output": str(output), "errors": errors, **summary}
        typer.echo(json.dumps(content, indent=2))
    else:
        _print_summary(output, summary)
    if errors:
        raise typer.Exit(1)


def _settings(
    masks: Path | None, eps: float, eps_bg: float, target: Any, classes: str | None, void: str,
    background: str, silent: str, choice: str, batch: int,
    visibility: Any,
) -> Settings:  # fmt: skip
    """Check the options that need no image."""
    from unseg.masks.labels import LabelRules
    from unseg.noise import Budget
    from unseg.protect.manifest import Settings

    for name, value in (("--eps", eps), ("--eps-bg", eps_bg)):
        if not 0 <= value <= 255:
            raise UnsegError(f"{name} {value:g}: expected 8-bit steps in 0..255")
    if max(eps, eps_bg) < 1:
        raise UnsegError(
            f"--eps {eps:g} and --eps-bg {eps_bg:g} hold no whole 8-bit step, so nothing would "
            "be protected: give --eps at least 1"
        )
    if background not in {"0", "none"}:
        raise UnsegError(f"--background {background}: expected 0 or none")
    rules = LabelRules(
        target=target,
        classes=None if classes is None else _labels("--classes", classes),
        void="auto" if void == "auto" else None if void == "none" else _label("--void", void),
        background=0 if background == "0" else None,
        silent=None if silent in {"auto", "first"} else _labels("--silent", silent),
    )
    if silent not in {"auto", "first"} and target != "class":
        raise UnsegError(f"--silent {silent} needs --target class: a union has no labels")
    return Settings(Budget(eps, eps_bg), choice, rules, masks, batch, visibility)


def _labels(option: str, text: str) -> tuple[int, ...]:
    return tuple(sorted({_label(option, part) for part in text.split(",")}))


def _label(option: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise UnsegError(f"{option} {text}: expected label numbers such as 6,15")
    return int(text)


def _chosen_silent(
    plan: Plan, rules: LabelRules, source: NoiseSource, *, resume: bool, quiet: bool
) -> tuple[int, ...] | None:
    """Labels that carry no noise: an earlier run's when it is continued, else chosen."""
    from rich.console import Console
    from rich.progress import Progress

    from unseg.protect.manifest import RUN, read_run
    from unseg.protect.silence import Embedder, silent_in_plan

    if resume and (plan.out / RUN).exists():
        settings = read_run(plan.out).get("settings", {})
        if (
            settings.get("target") == rules.target
            and settings.get("background") == rules.background
        ):
            earlier = settings.get("silent")
            return None if earlier is None else tuple(earlier)
    if not isinstance(source, Embedder):
        return None
    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("choosing silent classes", total=None)
        return silent_in_plan(
            plan, rules, source,
            lambda done, count: progress.update(task, completed=done, total=count),
        )  # fmt: skip


def _progress(run: Run, *, quiet: bool) -> list[dict[str, str]]:
    """Work through the run with a bar on standard error; returns the errors."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    errors: list[dict[str, str]] = []
    with Progress(
        TextColumn("protecting"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TextColumn("ETA"), TimeRemainingColumn(),
        console=console, disable=quiet,
    ) as progress:  # fmt: skip
        task = progress.add_task(
            "", total=len(run.plan.jobs), completed=len(run.done), rate="-- images/s"
        )
        for count, record in enumerate(run, 1):
            elapsed = progress.tasks[0].elapsed or 0.0
            rate = f"{count / elapsed:.2f} images/s" if elapsed else "-- images/s"
            progress.update(task, advance=1, rate=rate)
            if record.error is not None:
                errors.append({"source": record.source, "error": record.error})
                typer.secho(f"unseg: {record.error}", fg="red", err=True)
    return errors


def _print_summary(output: Path, summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    totals = summary["totals"]
    table = Table(show_header=False, title=f"unseg protect: {output}")
    sources = ", ".join(f"{count} {name}" for name, count in totals["mask_sources"].items())

    def figure(value: float | None, unit: str = "") -> str:
        return "-" if value is None else f"{value:g}{unit}"

    rows = {
        "protected": f"{totals['protected']} of {totals['images']}",
        "kept from an earlier run": str(totals["kept_from_earlier_run"] or ""),
        "errors": str(totals["errors"] or ""),
        "masks from": sources,
        "without a file in --masks": str(totals["without_mask_file"] or ""),
        "files that are no images": str(totals["ignored_files"] or ""),
        "classes without noise": ", ".join(map(str, summary["settings"]["silent"] or ())),
        "largest change inside": figure(totals["largest_change_inside"], " steps"),
        "largest change outside": figure(totals["largest_change_outside"], " steps"),
        "over the budget through JPEG": str(totals["over_budget_lossy"] or ""),
        "mean PSNR": figure(totals["mean_psnr"], " dB"),
        "mean SSIM": figure(totals["mean_ssim"]),
        "seconds per image": figure(totals["seconds_per_image"]),
        "model": summary["model"],
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, text)
    Console().print(table)
    weak = sum(totals["mask_sources"].get(name, 0) for name in ("proposal", "whole-image"))
    if weak:
        typer.echo(
            f"{weak} images have no mask of yours: what stands out was protected, which is less "
            f"than masks do. Look at {output}/unseg-masks; unseg masks draws them from boxes or "
            "writes what was found to be corrected, and --masks takes them"
        )
