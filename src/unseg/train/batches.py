"""From corpus files to the pairs that the surrogate sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unseg.models.geometry import Frame, letterbox_mask, unletterbox
from unseg.models.sam.base import Features
from unseg.noise import compose
from unseg.train.augment import Jitter, apply_jitter, degrade
from unseg.train.cache import FeatureCache
from unseg.train.config import PromptType, TrainConfig
from unseg.train.corpus import CorpusEntry, Picture, draw_mask, fixed_mask, load
from unseg.train.prompts import draw_prompts, random_subset

#: Pixels of decoded pictures kept in memory, of 7 bytes each: below 4 GB a process.
PIXELS_IN_MEMORY = 2048 * 512 * 512


@dataclass(frozen=True)
class TrainingSample:
    """What one image contributes to a step.

    Args:
        image: (3, h, w) float, in [0, 255].
        mask: (1, h, w) float, in {0, 1}.
        features: of the frozen encoder, batch dimension one.
        jitter: applied to the protected image, or None if the image is jittered already.
    """

    image: Tensor
    mask: Tensor
    features: Features
    jitter: Jitter | None


def step_rng(seed: int, step: int, stream: int) -> torch.Generator:
    """A generator that depends on seed, step and stream only, so that resuming needs no state."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + stream)


class Batches:
    """Draws samples by step number.

    Args:
        entries: files of one part.
        config: of the run.
        cache: frozen features; give a cache without a folder when views are never repeated.
    """

    def __init__(
        self, entries: Sequence[CorpusEntry], config: TrainConfig, cache: FeatureCache
    ) -> None:
        self.entries, self.config, self.cache = list(entries), config, cache
        count = max(1, PIXELS_IN_MEMORY // config.models.generator_size**2)
        self._load = lru_cache(maxsize=count)(self._read)

    def _read(self, index: int) -> Picture:
        return load(self.entries[index], self.config.models.generator_size)

    def indices(self, step: int, rank: int, world: int) -> list[int]:
        """Entries of a step: a fresh permutation of the part for every pass over it."""
        count, size = len(self.entries), self.config.optimisation.batch_size
        first = (step * world + rank) * size
        return [self._permutation(i // count)[i % count] for i in range(first, first + size)]

    @lru_cache(maxsize=4)  # noqa: B019 - lives as long as the run
    def _permutation(self, passing: int) -> list[int]:
        rng = step_rng(self.config.optimisation.seed, passing, 63)
        return torch.randperm(len(self.entries), generator=rng).tolist()

    def draw(self, step: int, rank: int, world: int) -> list[TrainingSample]:
        """The samples of a training step."""
        rng = step_rng(self.config.optimisation.seed, step, 2 * rank)
        return [self._sample(index, rng) for index in self.indices(step, rank, world)]

    def fixed(self, count: int) -> list[TrainingSample]:
        """The first ``count`` images with fixed masks and no augmentation, for validation."""
        samples = []
        for index in range(min(count, len(self.entries))):
            picture = self._load(index)
            features = self.cache.features(picture.image)
            centre = Jitter(flip=False, scale=1.0, top=0.5, left=0.5)
            samples.append(
                TrainingSample(picture.image.float(), fixed_mask(picture), features, centre)
            )
        return samples

    def _sample(self, index: int, rng: torch.Generator) -> TrainingSample:
        data, picture = self.config.data, self._load(index)
        mask = draw_mask(picture, rng)
        jitter = Jitter.draw(flip=data.flip, low=data.jitter_min, high=data.jitter_max, rng=rng)
        if data.jitter_after:
            features = self.cache.features(picture.image)
            return TrainingSample(picture.image.float(), mask, features, jitter)
        image, mask = apply_jitter(
            picture.image.float(), mask, jitter, self.config.models.generator_size
        )
        return TrainingSample(image, mask, self.cache.features(image.round().to(torch.uint8)), None)


def _surrogate_view(
    image: Tensor, mask: Tensor, jitter: Jitter | None, size: int
) -> tuple[Tensor, Tensor]:
    if jitter is not None:
        return apply_jitter(image, mask, jitter, size)
    both = torch.cat([image, mask])[None]
    both = F.interpolate(both, (size, size), mode="bilinear", antialias=True)[0]
    return both[:3], both[3:]


def clean_views(
    samples: Sequence[TrainingSample], config: TrainConfig, device: torch.device
) -> tuple:
    """The samples without noise: (B, 3, S, S) in [0, 255] and (B, 1, S, S) masks."""
    views = [
        _surrogate_view(s.image, s.mask, s.jitter, config.models.surrogate_size) for s in samples
    ]
    return torch.stack([v for v, _ in views]).to(device), torch.stack([m for _, m in views]).to(
        device
    )


def protected_views(
    generator: nn.Module,
    samples: Sequence[TrainingSample],
    config: TrainConfig,
    device: torch.device,
    rng: torch.Generator,
    *,
    prompt_types: Sequence[PromptType] | None = None,
    robust: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Make noise for a batch, add it, and bring the result before the surrogate.

    Args:
        generator: a :class:`~unseg.models.generator.NoiseGenerator`, wrapped or not.
        samples: of one step.
        config: of the run.
        device: of the generator.
        rng: CPU generator for prompts and degradations.
        prompt_types: fixed prompt types; by default a random subset of the configured ones.
        robust: probability of a degradation; by default the configured one.

    Returns:
        (B, 3, S, S) views in [0, 255], (B, 1, S, S) targets, (B, 3, G, G) noise in [-1, 1].
    """
    size = config.models.generator_size
    grid_masks = torch.cat(
        [letterbox_mask(s.mask[None], size, size // 4) for s in samples]
    ).to(device)  # fmt: skip
    types = prompt_types or random_subset(config.prompts.generator_prompts, rng)
    prompts = draw_prompts(
        grid_masks, types, size=size, grid=size // 4, points=config.prompts.points,
        perturb=config.prompts.perturb_boundary, rng=rng,
    )  # fmt: skip
    embedding = torch.cat([s.features.embedding for s in samples]).to(device).float()
    early = torch.cat([s.features.early for s in samples]).to(device).float()
    grid_noise = generator(embedding, early, prompts)
    views, targets = [], []
    for sample, one in zip(samples, grid_noise, strict=True):
        image, mask = sample.image.to(device), sample.mask.to(device)
        noise = unletterbox(one[None].float(), Frame(image.shape[-2], image.shape[-1], size))
        protected = compose(image[None], noise, mask[None], config.noise.budget)[0]
        view, target = _surrogate_view(protected, mask, sample.jitter, config.models.surrogate_size)
        views.append(view)
        targets.append(target)
    chance = config.data.robust if robust is None else robust
    return degrade(torch.stack(views), chance, rng), torch.stack(targets), grid_noise
