"""``unseg train-salience``: make the head that finds a foreground where no mask is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseg.extras import require


def train_salience(
    cutouts: Annotated[
        list[Path],
        typer.Option(
            help="Corpus whose ground truth separates objects (any id) from background (0)."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    scenery: Annotated[
        list[Path] | None, typer.Option(help="Corpus to paste into; its ground truth is not used.")
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            help="SAM weights written by unseg weights import. Default: those that ship with unseg."
        ),
    ] = "default",
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change one setting, such as optimisation.batch_size=8.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Continue from the last checkpoint; without one, start anew.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 lets torch choose.")] = 0,
) -> None:
    """Train the salience head, which finds the foreground of images without a mask.

    The shipped one learned from people cut out of photographs and pasted into others. Cut-outs of
    your own objects (ships, cells, cars) make a head for your images; give it to unseg protect and
    unseg masks with --salience.

    Examples:

      unseg train-salience --cutouts data/ccp --scenery data/bsds500 -o runs/salience

      unseg train-salience --cutouts data/ships -o runs/ships --set scenes=600 --set steps=300

      unseg protect photos -o protected --salience runs/ships/salience.safetensors
    """
    require("train", "unseg train-salience")

    import torch
    from rich.console import Console

    from unseg.cli.progress import training_progress
    from unseg.cli.runs import resumable, run_record
    from unseg.models.loaded import pick_device
    from unseg.models.registry import load_shipped_base
    from unseg.models.weights.io import load_base
    from unseg.report.salience_card import write_card
    from unseg.train.corpus import scan
    from unseg.train.salience.config import SalienceSettings
    from unseg.train.salience.fit import WEIGHTS, SalienceTrainer
    from unseg.train.settings import override as changed

    if threads:
        torch.set_num_threads(threads)
    settings = changed(SalienceSettings(), override or [])
    people, others = scan(cutouts), scan(scenery) if scenery else []
    size = settings.models.image_size
    frozen = load_shipped_base(size) if base == "default" else load_base(base, size)
    with resumable(output, resume=resume):
        trainer = SalienceTrainer(frozen.to(pick_device(device)), people, others, settings, output)
        record = run_record(
            [*cutouts, *(scenery or [])], [*people, *others], settings.optimisation.seed
        )
        with training_progress(Console()) as report:
            iou = trainer.run(resume=resume, report=report, record=record)
        write_card(output)
    typer.echo(f"{output / WEIGHTS}: IoU {iou:.3f} on validation pictures; card in {output}")
