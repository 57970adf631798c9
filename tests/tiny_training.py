"""A training so small that a test runs it: settings, a corpus and a random base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unseg.models.sam.base import SamBase, architecture
from unseg.train.bilevel import BilevelTrainer
from unseg.train.config import TrainConfig, preset
from unseg.train.corpus import scan
from unseg.train.settings import override

SIZE = 64
PAIRS = ("generator_size=64", "surrogates=small", "surrogate_size=64", "surrogate_width=32",
         "textures=64,96",
         "head_width=8",
         "epochs=10", "epoch_steps=2", "batch_size=2", "points_sampled=128", "visibility=0",
         "validation_share=0.2")  # fmt: skip
"""What of the shipped preset is made smaller."""
TINY = override(preset("shipped"), PAIRS)


def random_base() -> SamBase:
    """MobileSAM's architecture with random weights, at 64 pixels."""
    torch.manual_seed(0)
    return SamBase(architecture("mobile_sam"), SIZE).eval()


def make_corpus(folder: Path) -> Path:
    """Ten pictures with two regions and background."""
    for part in ("im", "gt"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(10):
        height, width = 48 + 4 * index, 80
        regions = np.zeros((height, width), np.uint8)
        regions[5:30, 5 : 20 + 3 * index] = 1
        regions[20:40, 50:75] = 2
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(
            folder / "im" / f"{index}.png"
        )
        Image.fromarray(regions).save(folder / "gt" / f"{index}.png")
    return folder


def trainer_for(
    base: SamBase, corpus: Path, folder: Path, config: TrainConfig = TINY
) -> BilevelTrainer:
    """A trainer on the CPU, with its own cache."""
    folder.mkdir(exist_ok=True)
    return BilevelTrainer(
        base, scan([corpus]), config, folder, cache_folder=folder / "cache", cpu=True
    )


def weights_of(trainer: BilevelTrainer) -> dict[str, torch.Tensor]:
    """A copy of the generator's weights."""
    return {n: p.detach().clone() for n, p in trainer.generator.named_parameters()}
