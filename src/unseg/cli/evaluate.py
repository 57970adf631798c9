"""``unseg evaluate``: what protection does to a victim's training."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.evaluate.conditions import Condition
    from unseg.evaluate.protocol import Bench
    from unseg.evaluate.results import Result, ResultStore
    from unseg.evaluate.suite import Cell
    from unseg.evaluate.victims import Victim
    from unseg.noise import Budget

EXAMPLES = """
Train victims on clean, baseline and protected images and test them on clean ones.

Every run is one JSON file in RESULTS, found again by its content: an interrupted suite continues,
and nothing runs twice. The table goes to standard output.

Examples:

  unseg evaluate person --data pennfudan -o results

  unseg evaluate person --data pennfudan -o results --conditions clean,unseg --model my.safetensors

  unseg evaluate ccp --data ccp -o tuning --part val --seeds 0 --defences none,jpeg75

  unseg evaluate --list
"""


def evaluate(
    task: Annotated[str | None, typer.Argument(help="What to measure; see --list.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the task's data set.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of results.")] = None,
    conditions: Annotated[
        str, typer.Option(help="What the training images become, comma-separated.")
    ] = "clean,random,pattern,unseg",
    defences: Annotated[
        str, typer.Option(help="What the trainer does to stored images, comma-separated.")
    ] = "none",
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "0,1,2",
    victim: Annotated[str, typer.Option(help="What is trained.")] = "unet",
    model: Annotated[
        str, typer.Option(help="Generator of the condition unseg: a name or a .safetensors file.")
    ] = "default",
    eps: Annotated[float, typer.Option(help="Largest change inside the mask, 8-bit steps.")] = 8.0,
    eps_bg: Annotated[float, typer.Option(help="Largest change outside it, 8-bit steps.")] = 2.0,
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
    table: Annotated[Path | None, typer.Option(help="Also write the table to this file.")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Run nothing: only the runs that RESULTS holds.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say what there is and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    if list_:
        _list(as_json)
        return
    if task is None or data is None or out is None:
        raise UnsegError(
            "evaluate needs a task, --data and -o, for example: "
            "unseg evaluate person --data pennfudan -o results"
        )
    import torch

    from unseg.evaluate.defences import DEFENCES
    from unseg.evaluate.protocol import Bench
    from unseg.evaluate.results import ResultStore
    from unseg.evaluate.suite import cells, is_stored
    from unseg.evaluate.tasks import TASKS
    from unseg.evaluate.victims import VICTIMS
    from unseg.noise import Budget
    from unseg.report.tables import retention_table

    names = _pick("--conditions", conditions, _condition_names())
    labels = _pick("--defences", defences, DEFENCES)
    chosen = TASKS[_pick("TASK", task, TASKS)[0]]()
    overrides = {k: v for k, v in (("steps", steps), ("size", size)) if v is not None}
    architecture = VICTIMS[_pick("--victim", victim, VICTIMS)[0]](**overrides)
    if part not in ("test", "val"):
        raise UnsegError(f"--part {part}: expected test or val")
    if threads < 1:
        raise UnsegError(f"--threads {threads}: expected at least 1")
    numbers = _seeds(seeds)
    try:
        budget = Budget(eps, eps_bg)
    except ValueError as error:
        raise UnsegError(f"--eps {eps:g} --eps-bg {eps_bg:g}: {error}") from error
    torch.set_num_threads(threads)
    suite = cells(
        [_condition(name, budget, model) for name in names],
        {label: DEFENCES[label]() for label in labels},
        numbers,
    )
    bench = Bench(chosen, data, part)  # type: ignore[arg-type]
    store = ResultStore(out)
    if stored:
        suite = [cell for cell in suite if is_stored(bench, architecture, cell, store)]
        if not suite:
            raise UnsegError(f"{out} holds none of these runs: leave out --stored to make them")
    results = _run(bench, architecture, suite, store)
    text = retention_table(results, chosen.floor)
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


evaluate.__doc__ = EXAMPLES


def _run(bench: Bench, victim: Victim, suite: list[Cell], store: ResultStore) -> list[Result]:
    """Run the suite with a bar and, after every run, a line that also suits a log file."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from unseg.evaluate.suite import run_suite

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    results: list[Result] = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        watched = bar.add_task("reading", total=len(suite))

        def progress(cell: Cell, share: float) -> None:
            bar.update(watched, description=str(cell), completed=len(results) + share)

        for finished in run_suite(bench, victim, suite, store, progress):
            results.append(finished.result)
            bar.update(watched, completed=finished.done)
            seconds = sum(finished.result.seconds.values())
            spent = "already there" if finished.reused else f"{seconds:.0f} s"
            left = f", about {finished.remaining / 60:.0f} min left" if finished.remaining else ""
            console.print(
                f"{finished.done}/{finished.total} {finished.cell}: "
                f"{finished.result.metric} {finished.result.value:.3f} ({spent}{left})",
                highlight=False,
            )
    return results


def _condition_names() -> list[str]:
    from unseg.evaluate.conditions import BASELINES, Unseg

    return [*BASELINES, Unseg.name]


def _condition(name: str, budget: Budget, model: str) -> Condition:
    from unseg.evaluate.conditions import BASELINES, Unseg

    if name in BASELINES:
        return BASELINES[name](budget=budget)
    from unseg.models.registry import load_generator

    return Unseg(load_generator(model), budget=budget)


def _pick(option: str, given: str, known: Collection[str]) -> list[str]:
    names = [name.strip() for name in given.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UnsegError(
            f"{option}: {', '.join(unknown) or 'nothing given'} is not known here; "
            f"choose from {', '.join(known)}"
        )
    return list(dict.fromkeys(names))


def _seeds(given: str) -> list[int]:
    try:
        numbers = [int(seed) for seed in given.split(",")]
    except ValueError:
        raise UnsegError(f"--seeds {given}: expected numbers such as 0,1,2") from None
    if min(numbers) < 0:
        raise UnsegError(f"--seeds {given}: expected numbers from 0 up")
    return numbers


def _list(as_json: bool) -> None:
    from unseg.evaluate.defences import DEFENCES
    from unseg.evaluate.tasks import TASKS
    from unseg.evaluate.victims import VICTIMS

    found = {
        "tasks": list(TASKS),
        "victims": list(VICTIMS),
        "conditions": _condition_names(),
        "defences": list(DEFENCES),
    }
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for kind, names in found.items():
            typer.echo(f"{kind}: {', '.join(names)}")
