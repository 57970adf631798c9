"""From the generator that was trained to the one that is used."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch

from unseg.models.generator import NoiseGenerator
from unseg.models.textures import Codebook
from unseg.train.config import ExportSettings


def export(generator: NoiseGenerator, settings: ExportSettings) -> NoiseGenerator:
    """A copy of a generator with the export settings applied, and nothing else.

    Args:
        generator: trained; it stays as it is.
        settings: see there. They were checked against the generator's by
            :class:`~unseg.train.config.TrainConfig`.

    Returns:
        Another generator on the same frozen base; apart from ``log_scale``, which the gain
        changes, and the codebook's textures, its weights are equal to the given ones.
    """
    base = generator.base
    exported = copy.deepcopy(generator, {id(base): base})
    if settings.gain != 1:
        with torch.no_grad():
            exported.log_scale.add_(math.log(settings.gain))
    if settings.stretch != 1 and exported.textures is not None:
        periods = tuple(period * settings.stretch for period in exported.config.textures)
        exported.textures.set_periods(periods)
        exported.config = replace(exported.config, textures=periods)
    if settings.codebook and exported.codebook is not None:
        learned = exported.codebook.centres
        book = Codebook(learned.shape[1], settings.codebook).to(learned.device)
        book.centres.copy_(learned)
        exported.codebook = book
        exported.config = replace(exported.config, codebook=settings.codebook)
    return exported
