"""The models of one run, by name or file, each loaded when it is first asked for."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import torch

from unseg.errors import UnsegError
from unseg.key import Key
from unseg.models.generator import NoiseGenerator
from unseg.models.registry import load_generator
from unseg.models.salience import SalienceHead, load_salience
from unseg.models.sam.base import SamBase

if hasattr(os, "register_at_fork"):
    # OpenMP's threads do not outlive a fork: a forked process would wait for them for ever in its
    # first parallel loop, as ``datasets.map(num_proc=2)`` did. One thread waits for none.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class Models:
    """A generator, its frozen base, and the head that finds what stands out.

    Args:
        model: generator: ``default``, a shipped name or a ``.safetensors`` file.
        salience: ``default`` is the shipped head where it suits the generator's base, ``none`` is
            no head, all else a file written by ``unseg train-salience``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        key: what the generator's waves follow from; None leaves its own, which is public.

    Raises:
        UnsegError: when the device is unknown or not there.
    """

    def __init__(
        self,
        model: str = "default",
        salience: str = "default",
        device: str = "auto",
        key: Key | None = None,
    ) -> None:
        self.model, self.salience, self.key = model, salience, key
        self.device = pick_device(device)

    @cached_property
    def generator(self) -> NoiseGenerator:
        """The generator, on the device, with the key.

        Raises:
            UnsegError: when it is missing, damaged or of another kind.
        """
        generator = load_generator(self.model, self.device)
        if self.key is not None and hasattr(generator, "key"):
            generator.key = self.key  # a model of one's own may need none
        return generator

    @property
    def base(self) -> SamBase:
        """The generator's frozen SAM."""
        return self.generator.base

    @cached_property
    def salience_head(self) -> SalienceHead | None:
        """What finds what stands out, on the device; None where there is none for this base.

        Raises:
            UnsegError: when a file is missing or damaged, or was trained on another base.
        """
        if self.salience == "none":
            return None
        head = load_salience(None if self.salience == "default" else Path(self.salience))
        if head.suits(self.base):
            return head.to(self.device)
        if self.salience == "default":
            return None
        raise UnsegError(
            f"{self.salience} was trained on another base than that of {self.model}: train one "
            "with unseg train-salience --base, or give --salience none"
        )


def pick_device(name: str) -> str:
    """Turn ``--device`` into a torch device: ``auto`` prefers CUDA, then Apple's MPS.

    Raises:
        UnsegError: when the device is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise UnsegError(
            f"--device {name} is not known: expected auto, cpu, cuda, cuda:N or mps"
        ) from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        raise UnsegError(f"--device {name} is not available on this machine: use --device auto")
    return name
