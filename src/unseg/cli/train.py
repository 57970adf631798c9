"""``unseg train``: make a generator by the paper's bilevel min-min optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_type_hints

import typer

from unseg.errors import UnsegError
from unseg.extras import require

if TYPE_CHECKING:
    from unseg.models.sam.base import SamBase
    from unseg.train.config import TrainConfig
    from unseg.train.salience.fit import SalienceSettings

Settings = TypeVar("Settings", "TrainConfig", "SalienceSettings")
"""What --set changes."""

RUN_FILES = ("state.pt", "log.jsonl", "best.safetensors", "last.safetensors")
"""What an earlier run leaves in its folder."""

EPILOG = """
[bold]Examples[/bold]

Train on two corpora with the settings for two CPU cores:

  unseg train --corpus data/bsds500 --corpus data/ccp --preset cpu -o runs/first

Continue after an interruption, and look at the curves:

  unseg train --corpus data/bsds500 --corpus data/ccp --preset cpu -o runs/first --resume

  tensorboard --logdir runs/first/tensorboard

The paper's setting on four GPUs with SAM ViT-B weights imported before:

  accelerate launch --num_processes 4 -m unseg train --corpus hqseg/DIS5K --preset reference
  --base sam_vit_b.safetensors --mixed-precision bf16 --set batch_size=8 -o runs/paper
"""


def parse_overrides(config: Settings, pairs: list[str]) -> Settings:
    """Apply ``name=value`` pairs; tuples are written with commas.

    Raises:
        UnsegError: for an unknown name or a value of the wrong type.
    """
    import dataclasses

    changes: dict[str, Any] = {}
    hints = get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config)]
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name not in names:
            raise UnsegError(f"--set {pair}: expected name=value with one of {', '.join(names)}")
        current = getattr(config, name)
        try:
            if isinstance(current, bool):
                changes[name] = {"true": True, "false": False, "1": True, "0": False}[text.lower()]
            elif isinstance(current, tuple):
                parts = [part for part in text.split(",") if part]
                numbers = get_args(hints[name])[0] is float
                changes[name] = tuple(float(part) if numbers else part for part in parts)
            else:
                changes[name] = type(current)(text)
        except (KeyError, ValueError) as error:
            raise UnsegError(
                f"--set {pair}: {text!r} is not a {getattr(hints[name], '__name__', hints[name])}"
            ) from error
    return replace(config, **changes)


def open_run(output: Path, files: Sequence[str], *, resume: bool) -> None:
    """Make a run's folder.

    Args:
        output: the folder.
        files: what an earlier run would have left in it.
        resume: whether an earlier run is to be continued.

    Raises:
        UnsegError: when it holds a run that is not, or cannot be written.
    """
    if not resume and any((output / name).exists() for name in files):
        raise UnsegError(
            f"{output} already holds a run: add --resume to continue it, or choose another folder"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnsegError(f"-o {output} is no folder that can be written: {error}") from error


def corpora_of(folders: Sequence[Path]) -> dict[str, int]:
    """How many images each corpus has, by its folder's name, or more of the path."""
    from unseg.train.corpus import scan

    names = [folder.resolve().name for folder in folders]
    longer = ["/".join(folder.resolve().parts[-2:]) for folder in folders]
    unique = names if len(set(names)) == len(names) else longer
    return {name: len(scan([folder])) for name, folder in zip(unique, folders, strict=True)}


def load_frozen_base(source: str, config: TrainConfig) -> SamBase:
    """The frozen SAM: an imported file, or the one inside the shipped generator.

    ``generator_init="random"`` gives one of its shape with weights that follow from the seed.

    Raises:
        UnsegError: when the base is not the configured one.
    """
    import torch

    from unseg.models.registry import load_generator
    from unseg.models.sam.base import SamBase
    from unseg.models.weights.io import load_base

    if source == "default":
        base = load_generator().base.at_size(config.generator_size)
    else:
        base = load_base(source, config.generator_size)
    if base.name != config.base:
        raise UnsegError(
            f"--base {source} holds {base.name} but the settings want {config.base}: give other "
            f"weights (unseg weights import) or --set base={base.name}"
        )
    if config.generator_init == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            random = SamBase(base.architecture, config.generator_size)
        return random.requires_grad_(False).eval()
    return base


def train(
    corpus: Annotated[
        list[Path], typer.Option(help="Folder with im/ and gt/. May be given several times.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    preset: Annotated[str, typer.Option(help="reference (the paper) or cpu.")] = "cpu",
    base: Annotated[
        str, typer.Option(help="SAM weights from 'unseg weights import', or the shipped ones.")
    ] = "default",
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change one setting.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the run's last checkpoint.")] = False,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this many steps in all; resume later.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Frozen features; by default OUTPUT/cache.")
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 200,
    validation_images: Annotated[int, typer.Option(min=1, help="Fixed validation images.")] = 32,
    mixed_precision: Annotated[str, typer.Option(help="no, fp16 or bf16.")] = "no",
    cpu: Annotated[bool, typer.Option("--cpu", help="Keep off any GPU.")] = False,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
) -> None:
    """Train a generator of unlearnable noise against a surrogate (bilevel min-min)."""
    require("train", "unseg train")

    import torch

    from unseg.cli.progress import training_progress
    from unseg.provenance import provenance, sha256_files
    from unseg.train.bilevel import Trainer
    from unseg.train.config import preset as named
    from unseg.train.corpus import scan

    if mixed_precision not in ("no", "fp16", "bf16"):
        raise UnsegError(f"--mixed-precision {mixed_precision}: use no, fp16 or bf16")
    if steps is not None and steps < 1:
        raise UnsegError(f"--steps {steps}: give at least 1")
    if threads < 0:
        raise UnsegError(f"--threads {threads}: give 0 or more")
    if threads:
        torch.set_num_threads(threads)
    config = parse_overrides(named(preset), override or [])
    entries = scan(corpus)
    open_run(output, RUN_FILES, resume=resume)
    trainer = Trainer(
        load_frozen_base(base, config), entries, config, output,
        cache_folder=cache or output / "cache", mixed_precision=mixed_precision, cpu=cpu,
    )  # fmt: skip
    files = [path for entry in entries for path in (entry.image, entry.truth)]
    card = {
        "corpora": corpora_of(corpus),
        **provenance(config.seed, sha256_files(files)),
    }
    with training_progress(trainer, min(steps or trainer.total_steps, trainer.total_steps)) as bar:
        trainer.run(
            resume=resume, stop_after=steps, save_every=save_every, validate_every=validate_every,
            validation_images=validation_images, report=bar, model_card=card,
        )  # fmt: skip


train.__doc__ = (train.__doc__ or "") + "\n\n" + EPILOG
