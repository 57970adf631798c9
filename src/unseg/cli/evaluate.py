"""``unseg evaluate``: what protection does to a victim's training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseg.cli.registries import echo_registries
from unseg.cli.selection import seed_numbers, victim_settings, words
from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import write_atomically

if TYPE_CHECKING:
    from unseg.evaluate.results import Result
    from unseg.evaluate.study import Outcome, OwnImages
    from unseg.evaluate.tasks import Task

EXAMPLES = """
Train victims on clean, baseline and protected images and test them on clean ones.

Each run is stored as one JSON file in RESULTS and recognised by its settings, so an interrupted
suite continues and nothing runs twice. The tables are printed; unseg report makes pages from the
files.

Examples:

  unseg evaluate --task person --data data/pennfudan -o results

  unseg evaluate --task semantic --victim unet,segformer --condition clean,unseg@80 --data data
  -o results

  unseg evaluate --suite real --data data -o results --limit-minutes 60

  unseg evaluate --images photos --masks masks

  unseg evaluate --task ccp --data data -o tuning --part val --seed 0 --defence none,jpeg75

  unseg evaluate --list
"""

Words = list[str] | None


def evaluate(
    first: Annotated[str | None, typer.Argument(metavar="[TASK]", help="Same as --task.")] = None,
    task: Annotated[
        Words, typer.Option("--task", "--tasks", help="Tasks to measure, separated by commas.")
    ] = None,
    victim: Annotated[
        Words,
        typer.Option(
            "--victim",
            "--victims",
            help="Models to train, separated by commas; module:Name is one of your own. "
            "Default: the first that fits the task.",
        ),
    ] = None,
    victim_set: Annotated[
        Words,
        typer.Option("--victim-set", metavar="NAME=VALUE", help="Change a setting of the victim."),
    ] = None,
    condition: Annotated[
        Words,
        typer.Option(
            "--condition",
            "--conditions",
            help="What is done to the training images, separated by commas. "
            "Default: clean,random,pattern,unseg.",
        ),
    ] = None,
    defence: Annotated[
        Words,
        typer.Option(
            "--defence",
            "--defences",
            help="What the trainer does against the noise, separated by commas. Default: none.",
        ),
    ] = None,
    seed: Annotated[
        Words, typer.Option("--seed", "--seeds", help="Seeds, separated by commas. Default: 0,1,2.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="All runs of a table (see --list); other options keep only the runs that they "
            "name."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Your own images as the task; needs --masks.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Masks or label maps for --images, with the same names."),
    ] = None,
    split_seed: Annotated[
        int,
        typer.Option(
            help="With --images: decides, together with the names, which images are tested on."
        ),
    ] = 0,
    test_share: Annotated[
        float, typer.Option(help="With --images: the share of images that is tested on.")
    ] = 0.25,
    class_names: Annotated[
        Words,
        typer.Option(
            help="With --images: names of the values in the masks, lowest first, separated by "
            "commas."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="UNSEG_DATA", help="A data set's folder, or the folder that holds several."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Folder for the results. Default with --images: unseg-results."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="Generator that the condition unseg uses: a name or a .safetensors file."
        ),
    ] = "default",
    eps: Annotated[
        float | None,
        typer.Option(help="Largest change inside the mask, in 8-bit steps. Default: 8."),
    ] = None,
    eps_bg: Annotated[
        float | None,
        typer.Option(help="Largest change outside the mask, in 8-bit steps. Default: 2."),
    ] = None,
    part: Annotated[
        str,
        typer.Option(help="test: the test images. val: every fifth training image, for tuning."),
    ] = "test",
    steps: Annotated[
        int | None, typer.Option(help="Training steps of the victim. Default: the victim's own.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Short side, in pixels, at which the victim sees images. Default: the victim's "
            "own."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of one run.")] = 1,
    jobs: Annotated[
        int,
        typer.Option(
            help="Runs at once, each in a process of its own, on one GPU or on the cores of the "
            "CPU, which they share."
        ),
    ] = 1,
    device: Annotated[
        str, typer.Option(help="auto: a GPU where there is one. cpu or cuda.")
    ] = "auto",
    clean_images: Annotated[
        Path | None,
        typer.Option(
            help="Clean photographs (im/ and gt/) for defences that learn from them. "
            "Default: corpus/ccp below --data, where it exists."
        ),
    ] = None,
    mixed_precision: Annotated[
        str,
        typer.Option(
            help="Mixed precision: no, fp16 or bf16; auto is bf16 on a GPU, for victims "
            "that give every pixel a class."
        ),
    ] = "auto",
    cache: Annotated[
        Path,
        typer.Option(help="Folder for protected images of data sets that do not fit in memory."),
    ] = Path("unseg-cache"),
    panels: Annotated[
        str,
        typer.Option(
            help="Store pictures of answers: allowed (where the data's licence permits it), all "
            "or none."
        ),
    ] = "allowed",
    limit_minutes: Annotated[
        float | None, typer.Option(help="Start no new run after this many minutes.")
    ] = None,
    part_of: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="Part of the runs: 1/2 is the first half, so that two processes can share a "
            "folder.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List what would run and how long it would take, then stop."
        ),
    ] = False,
    table: Annotated[Path | None, typer.Option(help="Also write the tables to this file.")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Run nothing; use the results that are already stored.")
    ] = False,
    list_: Annotated[
        bool,
        typer.Option(
            "--list", help="List tasks, victims, conditions, defences and suites, then stop."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    # Otherwise transformers warns about every backbone that is not its own.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    require("eval", "unseg evaluate")
    if list_:
        echo_registries(as_json)
        return
    for option, given, known in (
        ("--part", part, ("test", "val")),
        ("--mixed-precision", mixed_precision, ("auto", "no", "fp16", "bf16")),
        ("--device", device, ("auto", "cpu", "cuda")),
        ("--panels", panels, ("allowed", "all", "none")),
    ):
        if given not in known:
            raise UnsegError(f"{option} {given}: expected {', '.join(known[:-1])} or {known[-1]}")
    from unseg.cli.suite_progress import preview, watch
    from unseg.evaluate.selection import Selection
    from unseg.evaluate.study import Study, opened, require_writable

    own = _own(images, masks, split_seed, test_share, words(class_names))
    study = Study(
        Selection(
            words([*([first] if first else []), *(task or [])]), words(victim), words(condition),
            words(defence), seed_numbers(words(seed)), eps, eps_bg,
        ),
        suite=suite, own=own, victim_settings=victim_settings(victim_set, steps=steps, size=size),
        part=part, shard=part_of, data=data,  # type: ignore[arg-type]
        out=out or (OWN_RESULTS if own else None), model=model, clean_images=clean_images,
        cache=cache, pictures=panels, mixed_precision=mixed_precision,  # type: ignore[arg-type]
        device=device, threads=threads, jobs=jobs, stored=stored,  # type: ignore[arg-type]
    )  # fmt: skip
    with opened(study) as runner:
        if not runner.surveyed:
            typer.echo(f"--shard {part_of} has no runs")
        elif dry_run:
            for line in preview(runner):
                typer.echo(line)
        else:
            if not stored:
                require_writable(runner.store.folder, cache, table)
            _show(watch(runner, limit_minutes, jobs), table, as_json, own is not None)


evaluate.__doc__ = EXAMPLES

OWN_RESULTS = Path("unseg-results")


def _own(
    images: Path | None, masks: Path | None, split_seed: int, test_share: float, names: list[str]
) -> OwnImages | None:
    from unseg.evaluate.study import OwnImages

    if images is None and masks is None:
        return None
    if images is None or masks is None:
        raise UnsegError("--images and --masks belong together: give both folders")
    return OwnImages(images, masks, split_seed, test_share, names)


def _show(outcome: Outcome, table: Path | None, as_json: bool, own: bool) -> None:
    from dataclasses import asdict

    from unseg.evaluate.selftest import plain
    from unseg.provenance import provenance

    # Under accelerate launch only the first process writes and prints.
    if not outcome.results or not outcome.first:
        return
    text = _tables(outcome.results, outcome.tasks)
    if own:
        sentence = plain(outcome.results, outcome.tasks[outcome.results[0].named("task")])
        text = f"{text}\n{sentence}\n" if sentence else text
    if table is not None:
        command = provenance(0)["command"]
        write_atomically(table, f"{text}\nCommand: `{command}`\n".encode())
    typer.echo(json.dumps([asdict(r) for r in outcome.results]) if as_json else text)
    if outcome.failed:
        raise UnsegError(
            f"{outcome.failed} runs failed, as reported above; all others are complete, and the "
            "same command tries the failed ones again"
        )


def _tables(results: list[Result], tasks: Mapping[str, Task]) -> str:
    """The conditions and defences of one victim, or everything by task."""
    from unseg.report.markdown import markdown_tables
    from unseg.report.summary import summarise
    from unseg.report.tables import retention_table

    first = results[0]
    if any(
        result.config[name] != first.config[name]
        for result in results
        for name in ("task", "victim")
    ):
        return markdown_tables(summarise(results))
    return retention_table(results, tasks[first.named("task")].floor)
