"""Devices and processes of a run: one process, or several that ``accelerate launch`` starts.

All train together; what one alone may do (test, save) the first does, and tells the others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from unseg.errors import UnsegError

T = TypeVar("T")

PATIENCE = timedelta(days=2)
"""How long the other processes wait while the first one tests a full-size set."""

PRECISIONS = ("auto", "no", "fp16", "bf16")
DEVICES = ("auto", "cpu", "cuda")
Device = Literal["auto", "cpu", "cuda"]


class Processes:
    """accelerate's view of the devices. Made once by a program and handed to all that trains.

    Args:
        mixed_precision: ``no``, ``fp16`` or ``bf16`` for all that trains; ``auto`` is bf16 on a
            GPU, for victims whose losses bear it (``Victim.queued``).
        device: ``auto`` is a GPU where there is one.

    Attributes:
        rank: number of this process, from 0.
        num_processes: how many there are.
        device: what this process trains on.
        mixed_precision: as given.

    Raises:
        UnsegError: when the precision or device is none of these or not there, or the program has
            used another precision before.

    Example:
        >>> alone = Processes(device="cpu")
        >>> alone.rank, alone.num_processes, alone.from_first(lambda: 3)
        (0, 1, 3)
    """

    def __init__(self, mixed_precision: str = "auto", device: Device = "auto") -> None:
        if device not in DEVICES:
            raise UnsegError(f"device {device}: expected auto, cpu or cuda")
        if device == "cuda" and not torch.cuda.is_available():
            raise UnsegError("device cuda: PyTorch sees no GPU; leave --device out, or give cpu")
        if mixed_precision not in PRECISIONS:
            raise UnsegError(
                f"mixed precision {mixed_precision}: expected {', '.join(PRECISIONS[:-1])} or "
                f"{PRECISIONS[-1]}"
            )
        # Here and below, so that to name victims and tasks does not need accelerate.
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

        handlers = [
            InitProcessGroupKwargs(timeout=PATIENCE),
            # A checkpoint's auxiliary heads and unused stages get no gradient.
            DistributedDataParallelKwargs(find_unused_parameters=True),
        ]
        try:
            self._accelerator = Accelerator(
                mixed_precision="no" if mixed_precision == "auto" else mixed_precision,
                cpu=device == "cpu",
                kwargs_handlers=handlers,
            )
        except ValueError as error:
            # accelerate keeps a state of its own for the whole program.
            raise UnsegError(
                f"mixed precision {mixed_precision}: this program has already begun with another: "
                "use one for the whole program"
            ) from error
        self.rank: int = self._accelerator.process_index
        self.num_processes: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device
        self.mixed_precision = mixed_precision

    @property
    def first(self) -> bool:
        """Whether this process may write files and speak."""
        return self.rank == 0

    def identity(self) -> dict[str, int | str]:
        """How training is spread and rounded, where that is not one process in full precision.

        It goes into a result's key: several processes learn from larger batches. What ``auto``
        chooses does not, so that one table holds the runs of every device (:meth:`hardware`).
        """
        found: dict[str, int | str] = {}
        if self.num_processes > 1:
            found["processes"] = self.num_processes
        if self.mixed_precision not in ("auto", "no"):
            found["mixed_precision"] = self.mixed_precision
        return found

    def from_first(self, work: Callable[[], T]) -> T:
        """Let the first process work and give its answer to all.

        Raises:
            UnsegError: in every process, if the work raised one.
        """
        answers = [_tried(work) if self.first else None]
        if self.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(answers)
        return _opened(answers[0])

    def from_all(self, work: Callable[[], T]) -> list[T]:
        """Let every process work and give all answers to all, in the processes' order.

        Raises:
            UnsegError: in every process, if the work of any raised one.
        """
        answers = [_tried(work)]
        if self.num_processes > 1:
            from accelerate.utils import gather_object

            answers = gather_object(answers)
        return [_opened(answer) for answer in answers]

    def prepare(
        self, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Both on this process's device, joined with those of the other processes."""
        network, optimizer = self._accelerator.prepare(network, optimizer)
        return network, optimizer

    def hardware(self, halved: bool) -> dict[str, str]:
        """Name of the device and the precision of a training there, for a result's provenance.

        Args:
            halved: as for :meth:`autocast`.
        """
        gpu = self.device.type == "cuda"
        chosen = "bf16" if gpu and halved else "no"
        return {
            "device": torch.cuda.get_device_name(self.device) if gpu else self.device.type,
            "autocast": chosen if self.mixed_precision == "auto" else self.mixed_precision,
        }

    def autocast(self, halved: bool = False) -> AbstractContextManager[Any]:
        """What a forward pass runs in, so that it has the precision asked for.

        Args:
            halved: whether a loss bears half precision where ``auto`` chooses.
        """
        if self.mixed_precision == "auto":
            gpu = self.device.type == "cuda"
            return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=halved and gpu)
        context: AbstractContextManager[Any] = self._accelerator.autocast()
        return context

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss, scaled where the precision asks for it."""
        self._accelerator.backward(loss)

    def unwrap(self, network: nn.Module) -> nn.Module:
        """The network that :meth:`prepare` was given, trained."""
        found: nn.Module = self._accelerator.unwrap_model(network)
        return found


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
