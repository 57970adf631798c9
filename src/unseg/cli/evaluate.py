"""``unseg evaluate``: what protection does to a victim's training."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseg.cli.registries import echo_registries
from unseg.cli.selection import (
    CONDITIONS,
    Selection,
    seed_numbers,
    shard,
    victim_settings,
    words,
)
from unseg.errors import UnsegError
from unseg.extras import require

if TYPE_CHECKING:
    from unseg.evaluate.results import Result
    from unseg.evaluate.runner import Runner
    from unseg.evaluate.suites import Plan

EXAMPLES = """
Train victims on clean, baseline and protected images and test them on clean ones.

Every run is one JSON file in RESULTS, found again by its content: an interrupted suite continues,
and nothing runs twice. The tables go to standard output; unseg report makes pages of the files.

Examples:

  unseg evaluate --task person --data data/pennfudan -o results

  unseg evaluate --task semantic --victim unet,segformer --condition clean,unseg@80 --data data
  -o results

  unseg evaluate --suite cpu --data data -o results --limit-minutes 60

  unseg evaluate --task ccp --data data -o tuning --part val --seed 0 --defence none,jpeg75

  unseg evaluate --list
"""

Words = list[str] | None


def evaluate(
    first: Annotated[str | None, typer.Argument(metavar="[TASK]", help="As --task.")] = None,
    task: Annotated[
        Words, typer.Option("--task", "--tasks", help="What to measure, comma-separated.")
    ] = None,
    victim: Annotated[
        Words,
        typer.Option(
            "--victim",
            "--victims",
            help="What is trained, comma-separated; module:Name is your own. "
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
            help="What the training images become, comma-separated. "
            f"Default: {','.join(CONDITIONS)}.",
        ),
    ] = None,
    defence: Annotated[
        Words,
        typer.Option(
            "--defence",
            "--defences",
            help="What the trainer does against it, comma-separated. Default: none.",
        ),
    ] = None,
    seed: Annotated[
        Words, typer.Option("--seed", "--seeds", help="Seeds, comma-separated. Default: 0,1,2.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="A table's runs, see --list; other options keep only what they name."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="UNSEG_DATA", help="A data set's folder, or the root that holds several."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of results.")] = None,
    model: Annotated[
        str, typer.Option(help="Generator of the condition unseg: a name or a .safetensors file.")
    ] = "default",
    eps: Annotated[
        float | None,
        typer.Option(help="Largest change inside the mask, 8-bit steps. Default: 8."),
    ] = None,
    eps_bg: Annotated[
        float | None, typer.Option(help="Largest change outside it, 8-bit steps. Default: 2.")
    ] = None,
    part: Annotated[
        str,
        typer.Option(help="test: the test images. val: every fifth training image, for tuning."),
    ] = "test",
    steps: Annotated[
        int | None, typer.Option(help="Victim's training steps, if not its own.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Victim's short side in pixels, if not its own.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    cpu: Annotated[bool, typer.Option("--cpu", help="Keep off any GPU.")] = False,
    mixed_precision: Annotated[str, typer.Option(help="no, fp16 or bf16.")] = "no",
    cache: Annotated[
        Path, typer.Option(help="Folder for protected images of sets too large for memory.")
    ] = Path("unseg-cache"),
    panels: Annotated[
        str,
        typer.Option(help="Store pictures of answers: where the data's licence allows, all, none."),
    ] = "allowed",
    limit_minutes: Annotated[
        float | None, typer.Option(help="Start no new run after so many minutes.")
    ] = None,
    part_of: Annotated[
        str | None,
        typer.Option("--shard", help="1/2 runs the first half, for two processes on one folder."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and how long, and stop.")
    ] = False,
    table: Annotated[Path | None, typer.Option(help="Also write the tables to this file.")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Run nothing: only the runs that RESULTS holds.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say what there is and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    # It warns of every backbone that is not its own.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    require("eval", "unseg evaluate")
    if list_:
        echo_registries(as_json)
        return
    for option, given, known in (
        ("--part", part, ("test", "val")),
        ("--mixed-precision", mixed_precision, ("no", "fp16", "bf16")),
        ("--panels", panels, ("allowed", "all", "none")),
    ):
        if given not in known:
            raise UnsegError(f"{option} {given}: expected {', '.join(known[:-1])} or {known[-1]}")
    if threads < 1:
        raise UnsegError(f"--threads {threads}: expected at least 1")
    selection = Selection(
        words([*([first] if first else []), *(task or [])]), words(victim), words(condition),
        words(defence), seed_numbers(words(seed)), eps, eps_bg,
    )  # fmt: skip
    settings = victim_settings(victim_set, steps=steps, size=size)
    plan = _plan(suite)
    from unseg.evaluate.results import ResultStore
    from unseg.evaluate.runner import Options, Runner

    with tempfile.TemporaryDirectory(prefix="unseg-") as scratch:
        if plan is None:
            cells = selection.grid(settings, part)
        else:
            if settings:
                raise UnsegError(f"--suite {plan.name} has victim settings of its own: give none")
            if part != "test":
                raise UnsegError(f"--suite {plan.name} reports on the test part: leave out --part")
            cells = selection.of(plan)
            if plan.data is not None:
                data = Path(scratch) / "data"
                plan.data(data)
                out = out or Path(scratch) / "results"
        if part_of is not None and cells:
            cells = shard(cells, part_of)
            if not cells:
                typer.echo(f"--shard {part_of}: nothing falls to it")
                return
        if not cells or out is None or data is None:
            raise UnsegError(
                "evaluate needs a task, --data and -o, for example: "
                "unseg evaluate --task person --data data/pennfudan -o results"
            )
        import torch

        torch.set_num_threads(threads)
        alone = plan is None and len({(cell.task, cell.victim) for cell in cells}) == 1
        # Defences that learn from other, clean photographs look for them below the same root.
        os.environ.setdefault("UNSEG_DATA", str(data))
        options = Options(
            data, model, alone, panels, mixed_precision, cpu,  # type: ignore[arg-type]
            plan.minutes if plan else Options.minutes, cache,
        )  # fmt: skip
        runner = Runner(cells, ResultStore(out), options)
        if dry_run:
            from unseg.cli.suite_progress import preview

            for line in preview(runner):
                typer.echo(line)
            return
        if stored:
            runner.entries = [entry for entry in runner.entries if entry.stored]
            if not runner.entries:
                raise UnsegError(f"{out} holds none of these runs: leave out --stored to make them")
        else:
            _require_places(out, cache, table)
        _finish(runner, limit_minutes, table, as_json)


evaluate.__doc__ = EXAMPLES


def _require_places(out: Path, cache: Path, table: Path | None) -> None:
    """Refuse, before hours of work, what cannot be written after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UnsegError(f"-o {out} is no folder that can be written: {error}") from error
    for option, folder in (("--cache", cache), ("--table", table.parent if table else out)):
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        if not there.is_dir():
            raise UnsegError(f"{option}: {there} is no folder")
    if table is not None and table.is_dir():
        raise UnsegError(f"--table {table} is a folder: give a file")


def _finish(runner: Runner, limit_minutes: float | None, table: Path | None, as_json: bool) -> None:
    from unseg.cli.suite_progress import watch
    from unseg.evaluate import processes

    results, skipped = watch(runner, limit_minutes)
    if not results and skipped:
        raise UnsegError(
            "nothing ran: " + "; ".join(f"{cell}: {reason}" for reason, cell in skipped.items())
        )
    # Under accelerate launch the first process alone writes and speaks.
    if not results or not processes.is_first():
        return
    text = _tables(results, runner)
    if table is not None:
        from unseg.provenance import provenance

        table.parent.mkdir(parents=True, exist_ok=True)
        command = provenance(0)["command"]
        table.write_text(f"{text}\nCommand: `{command}`\n", encoding="utf-8")
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(result) for result in results]))
    else:
        typer.echo(text)
    if runner.failed:
        raise UnsegError(
            f"{runner.failed} runs ended with a fault, told above; all others are complete, and "
            "the same command tries those again"
        )


def _tables(results: list[Result], runner: Runner) -> str:
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
    return retention_table(results, runner.tasks[first.named("task")].floor)


def _plan(name: str | None) -> Plan | None:
    from unseg.evaluate.build import check
    from unseg.evaluate.suites import SUITES

    if name is None:
        return None
    check("--suite", name, SUITES)
    return SUITES[name]
