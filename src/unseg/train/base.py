"""The frozen SAM that a training starts from."""

from __future__ import annotations

import torch

from unseg.errors import UnsegError
from unseg.models.registry import load_shipped_base
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import load_base
from unseg.train.config import TrainConfig


def load_frozen_base(source: str, config: TrainConfig) -> SamBase:
    """The frozen SAM: an imported file, or the one that ships.

    With ``models.generator_init`` of ``random`` it has the shape of that, and weights that follow
    from the seed.

    Args:
        source: ``default`` for the one that ships, or a file of ``unseg weights import``.
        config: of the run.

    Raises:
        UnsegError: when the base is not the configured one.
    """
    models = config.models
    base = (
        load_shipped_base(models.generator_size)
        if source == "default"
        else load_base(source, models.generator_size)
    )
    if base.name != models.base:
        raise UnsegError(
            f"--base {source} holds {base.name} but the settings ask for {models.base}: give other "
            f"weights (unseg weights import) or --set models.base={base.name}"
        )
    if models.generator_init == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.optimisation.seed)
            random = SamBase(base.architecture, models.generator_size)
        return random.requires_grad_(False).eval()
    return base
