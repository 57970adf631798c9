"""From corpus files to the pairs that the surrogate sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from unseg.models.geometry import letterbox_mask
from unseg.models.sam.base import Features
from unseg.models.waves import Window
from unseg.noise import compose
from unseg.train.augment import GREY, Cut, Jitter, apply_jitter, degrade, photometric, place
from unseg.train.cache import FeatureCache
from unseg.train.config import PromptType, TrainConfig
from unseg.train.corpus import CorpusEntry, Picture, draw_mask, fixed_mask, load
from unseg.train.prompts import draw_prompts, random_subset

#: Pixels of decoded pictures kept in memory, of 7 bytes each, and as many of their features, of
#: about 6: below 8 GB a process.
PIXELS_IN_MEMORY = 2048 * 512 * 512
#: Of validation images: a photograph of 512 pixels loses nothing.
VALIDATED = Jitter(flip=False, scale=2.0, top=0.5, left=0.5)
#: All of an image, in the middle of the view.
CENTRED = Jitter(flip=False, scale=1.0, top=0.5, left=0.5)


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
        self._features = lru_cache(maxsize=count)(self._look)

    def _read(self, index: int) -> Picture:
        return load(self.entries[index], self.config.models.generator_size)

    def _look(self, index: int) -> Features:
        """What the frozen encoder sees of a whole picture, in half precision."""
        found = self.cache.features(self._load(index).image)
        return Features(embedding=found.embedding.half(), early=found.early.half())

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
            mask = fixed_mask(picture)
            samples.append(
                TrainingSample(picture.image.float(), mask, self._features(index), VALIDATED)
            )
        return samples

    def _sample(self, index: int, rng: torch.Generator) -> TrainingSample:
        data, picture = self.config.data, self._load(index)
        mask = draw_mask(picture, rng)
        jitter = Jitter.draw(flip=data.flip, low=data.jitter_min, high=data.jitter_max, rng=rng)
        if data.jitter_after:
            return TrainingSample(picture.image.float(), mask, self._features(index), jitter)
        image, mask = apply_jitter(
            picture.image.float(), mask, jitter, self.config.models.generator_size
        )
        return TrainingSample(image, mask, self.cache.features(image.round().to(torch.uint8)), None)


@dataclass(frozen=True)
class Views:
    """A batch as the surrogate sees it.

    Args:
        protected: (B, 3, S, S) in [0, 255].
        clean: the same without noise.
        target: (B, 1, S, S) in [0, 1].
        noise: (B, 3, S, S) in [-1, 1], before the bound.
    """

    protected: Tensor
    clean: Tensor
    target: Tensor
    noise: Tensor


def make_views(
    generator: nn.Module,
    samples: Sequence[TrainingSample],
    config: TrainConfig,
    device: torch.device,
    rng: torch.Generator,
    *,
    prompt_types: Sequence[PromptType] | None = None,
) -> Views:
    """Make noise for a batch, add it, and bring the result to the surrogate's size.

    Noise is drawn at the image's own resolution, as in use, and only where the view shows it.

    Args:
        generator: a :class:`~unseg.models.generator.NoiseGenerator`, wrapped or not.
        samples: of one step.
        config: of the run.
        device: of the generator.
        rng: CPU generator for prompts.
        prompt_types: fixed prompt types; by default a random subset of the configured ones.
    """
    size, side = config.models.generator_size, config.models.surrogate_size
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
    field = generator(embedding, early, prompts)
    padding = torch.tensor([GREY] * 6 + [0.0] * 4, device=device)
    views = []
    # Eight bits of mantissa would be a step of the noise: here nothing is computed in half.
    with torch.autocast(device.type, enabled=False):
        for number, sample in enumerate(samples):
            height, width = sample.image.shape[-2:]
            jitter = sample.jitter
            cut = (
                Cut(slice(0, height), slice(0, width), side, side)
                if jitter is None
                else Cut.of(height, width, jitter, side)
            )
            both = torch.cat([sample.image, sample.mask])[:, cut.rows, cut.columns].to(device)
            image, mask = both[None, :3], both[None, 3:]
            noise = field.paint(number, Window(height, width, cut.rows, cut.columns))[None]
            protected = compose(image, noise, mask, config.noise.budget)
            part = torch.cat([protected, image, mask, noise], dim=1)[0]
            views.append(place(part, cut, jitter or CENTRED, side, padding))
    together = torch.stack(views)
    return Views(together[:, :3], together[:, 3:6], together[:, 6:7], together[:, 7:])


def as_trained_on(views: Tensor, config: TrainConfig, rng: torch.Generator) -> Tensor:
    """What a trainer makes of published images: (B, 3, S, S) in [0, 255] to the same."""
    views = degrade(views, config.data.robust, rng)
    return photometric(views, rng) if config.data.photometric else views
