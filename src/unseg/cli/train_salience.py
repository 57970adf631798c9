"""``unseg train-salience``: make the head that finds a foreground where no mask is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseg.extras import require


def train_salience(
    cutouts: Annotated[
        list[Path],
        typer.Option(help="Corpus whose ground truth tells objects (any id) from background (0)."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    scenery: Annotated[
        list[Path] | None, typer.Option(help="Corpus to paste into; its ground truth is not used.")
    ] = None,
    base: Annotated[
        str, typer.Option(help="SAM weights from 'unseg weights import', or the shipped ones.")
    ] = "default",
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change one setting.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the run's last checkpoint.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves torch's choice.")] = 0,
) -> None:
    """Train the salience head: what stands out is the foreground where no mask is given.

    The shipped one learned from people cut out of photographs and pasted into others. A folder of
    cut-outs of your own kind (ships, cells, cars) makes one for your images; protect and masks
    take it with --salience.

    Examples:

      unseg train-salience --cutouts data/ccp --scenery data/bsds500 -o runs/salience

      unseg train-salience --cutouts data/ships -o runs/ships --set scenes=600 --set steps=300

      unseg protect photos -o protected --salience runs/ships/salience.safetensors
    """
    require("train", "unseg train-salience")

    import torch

    from unseg.cli.progress import stages_progress
    from unseg.cli.train import corpora_of, open_run, parse_overrides
    from unseg.models.loaded import pick_device
    from unseg.models.registry import load_generator
    from unseg.models.weights.io import load_base
    from unseg.provenance import provenance, sha256_files
    from unseg.report.salience_card import write_card
    from unseg.train.corpus import scan
    from unseg.train.salience.fit import STATE, WEIGHTS, SalienceRun, SalienceSettings

    if threads:
        torch.set_num_threads(threads)
    settings = parse_overrides(SalienceSettings(), override or [])
    people, others = scan(cutouts), scan(scenery) if scenery else []
    open_run(output, (STATE, WEIGHTS), resume=resume)
    frozen = load_generator().base if base == "default" else load_base(base, settings.size)
    run = SalienceRun(frozen.to(pick_device(device)), people, others, settings, output)
    entries = [*people, *others]
    files = [path for entry in entries for path in (entry.image, entry.truth)]
    card = {
        "corpora": corpora_of([*cutouts, *(scenery or [])]),
        **provenance(settings.seed, sha256_files(files)),
    }
    with stages_progress() as report:
        iou = run.run(report, card)
    write_card(output)
    typer.echo(f"{output / WEIGHTS}: IoU {iou:.3f} on validation pictures; card in {output}")
