"""One run in several processes, as ``accelerate launch`` starts them.

All train together; what one alone may do (test, save) the first does, and tells the others.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    InitProcessGroupKwargs,
    broadcast_object_list,
    gather_object,
)

from unseg.errors import UnsegError

T = TypeVar("T")

PATIENCE = timedelta(days=2)
"""How long the other processes wait while the first one tests a full-size set."""


def accelerator(mixed_precision: str = "no", cpu: bool = False) -> Accelerator:
    """accelerate's view of the devices; the first call of a program decides.

    Args:
        mixed_precision: ``no``, ``fp16`` or ``bf16``.
        cpu: keep off any GPU.
    """
    handlers = [
        InitProcessGroupKwargs(timeout=PATIENCE),
        # A checkpoint's auxiliary heads and unused stages get no gradient.
        DistributedDataParallelKwargs(find_unused_parameters=True),
    ]
    return Accelerator(mixed_precision=mixed_precision, cpu=cpu, kwargs_handlers=handlers)


def place() -> tuple[int, int]:
    """(number of this process, how many there are); (0, 1) before :func:`accelerator`."""
    if not PartialState._shared_state:
        return 0, 1
    state = PartialState()
    return state.process_index, state.num_processes


def launch() -> dict[str, int | str]:
    """How training is spread and rounded, where that is not one process in full precision.

    It goes into a result's key: several processes learn from larger batches.
    """
    found: dict[str, int | str] = {}
    if (count := place()[1]) > 1:
        found["processes"] = count
    precision = AcceleratorState._shared_state.get("_mixed_precision", "no")
    return found if precision == "no" else {**found, "mixed_precision": precision}


def is_first() -> bool:
    """Whether this process may write files and speak."""
    return place()[0] == 0


def from_first(work: Callable[[], T]) -> T:
    """Let the first process work and give its answer to all.

    Raises:
        UnsegError: in every process, if the work raised one.
    """
    index, count = place()
    answers = [_tried(work) if index == 0 else None]
    if count > 1:
        broadcast_object_list(answers)
    return _opened(answers[0])


def from_all(work: Callable[[], T]) -> list[T]:
    """Let every process work and give all answers to all, in the processes' order.

    Raises:
        UnsegError: in every process, if the work of any raised one.
    """
    answers = [_tried(work)]
    if place()[1] > 1:
        answers = gather_object(answers)
    return [_opened(answer) for answer in answers]


def _tried(work: Callable[[], T]) -> tuple[T | None, str]:
    # An error that one process alone sees would leave the others waiting.
    try:
        return work(), ""
    except UnsegError as error:
        return None, str(error) or "failed"


def _opened(answer: tuple[T | None, str] | None) -> T:
    assert answer is not None
    value, problem = answer
    if problem:
        raise UnsegError(problem)
    return value  # type: ignore[return-value]
