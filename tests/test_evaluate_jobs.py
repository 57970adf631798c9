"""Several runs at once: who does what next, and what a process answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unseg.errors import UnsegError
from unseg.evaluate import jobs
from unseg.evaluate.jobs import Answer, Share, Worker, _Schedule, answered
from unseg.evaluate.runner import Surveyed
from unseg.evaluate.suites.base import Cell, Recipe

UNET = Recipe.of("unet")
CELLS = [
    Cell("person", UNET, condition, seed=seed)
    for condition in ("clean", "unseg", "stripes")
    for seed in (0, 1)
]


def schedule(monkeypatch: pytest.MonkeyPatch, device: str = "cpu", cores: int = 2) -> _Schedule:
    """Of three sets with two runs each, of which two are costly."""
    monkeypatch.setattr(jobs, "cores", lambda: cores)
    runner: Any = SimpleNamespace(
        surveyed=[Surveyed(cell) for cell in CELLS],
        published_set=lambda cell: (cell.condition, cell.condition != "clean"),
        processes=SimpleNamespace(device=torch.device(device)),
        estimate=SimpleNamespace(seconds=lambda cell: 60.0, add=lambda cell, result: None),
        failed=0,
    )
    return _Schedule(runner, 2)


def workers(count: int, makers: int = 0) -> list[Any]:
    return [Worker(None, None, i >= count) for i in range(count + makers)]  # type: ignore[arg-type]


def give(plan: _Schedule, crew: list[Any]) -> list[Any]:
    for one in crew:
        if one.at is None:
            one.at = plan._next(one, crew)
    return [one.at for one in crew]


def end(plan: _Schedule, worker: Any, answer: Answer) -> list[Any]:
    worker.pipe = SimpleNamespace(recv=lambda: answer)
    return list(plan._ended(worker))


def test_no_run_starts_before_its_images_are_made_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, crew = schedule(monkeypatch), workers(2)
    made, run = give(plan, crew)
    assert (made.cell, made.rank, made.count) == (CELLS[2], 0, 2) and run == CELLS[0]
    result = Answer(SimpleNamespace())  # type: ignore[arg-type]
    [step] = end(plan, crew[1], result)
    assert (step.cell, step.done, step.total) == (CELLS[0], 1, 6) and step.remaining == 150
    assert give(plan, crew)[1] == CELLS[1]  # it holds these images
    assert end(plan, crew[0], Answer()) == []
    assert give(plan, crew)[0] == Share(CELLS[2], 1, 2)
    end(plan, crew[1], result)
    assert give(plan, crew)[1] == Share(CELLS[4], 0, 2)  # nothing else is ready
    end(plan, crew[0], Answer())
    assert give(plan, crew)[0] == CELLS[2]


def test_beside_a_gpu_the_other_cores_make_images(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = schedule(monkeypatch, "cuda", cores=5)
    assert plan.makers == 3
    crew = workers(2, plan.makers)
    given = give(plan, crew)
    assert given[:2] == CELLS[:2]
    assert given[2:] == [Share(CELLS[2], rank, 5) for rank in range(3)]


def test_a_victim_that_cannot_train_clean_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, crew = schedule(monkeypatch), workers(2)
    give(plan, crew)
    steps = end(plan, crew[1], Answer(None, "no wheel", 1))
    assert {step.cell for step in steps} == set(CELLS)
    assert {step.reason for step in steps} == {"no wheel"} and not plan.pending
    assert steps[-1].done == 6 and plan._runner.failed == 1


def test_a_set_that_cannot_be_made_leaves_the_word_to_its_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, crew = schedule(monkeypatch), workers(2)
    give(plan, crew)
    assert end(plan, crew[0], Answer(None, "no mask", 1)) == []
    assert plan._runner.failed == 0
    crew[1].at = None
    assert CELLS[2] in [plan._next(crew[0], crew) for _ in range(4)]


def test_a_fault_is_an_answer() -> None:
    def share(cell: Cell, rank: int, count: int) -> None:
        raise RuntimeError("odd")

    def run_cell(cell: Cell, progress: Any) -> Any:
        raise UnsegError("wrong")

    runner: Any = SimpleNamespace(failed=0, survey=Surveyed, share=share, run_cell=run_cell)
    assert answered(runner, CELLS[0]) == Answer(None, "wrong", 1)
    assert answered(runner, Share(CELLS[0], 0, 1)).reason == "failed: RuntimeError: odd"
    runner.survey = lambda cell: Surveyed(cell, reason="not there")
    assert answered(runner, CELLS[0]) == Answer(None, "not there")
