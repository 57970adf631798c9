"""Error-minimising noise: optimised for every image on a surrogate trained on the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unseg.datasets.samples import Sample, names_of
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import HandMade
from unseg.evaluate.conditions.classwise import NOTHING, number_map
from unseg.evaluate.problem import Problem
from unseg.noise import Budget


@dataclass(frozen=True)
class Pool:
    """The training set at the work size.

    Args:
        images: (N, 3, S, S) float, in [0, 1].
        amplitude: (N, 1, S, S) float, largest change, in [0, 1].
        targets: (N, S, S) int64 class numbers, :data:`NOTHING` is void.
    """

    images: Tensor
    amplitude: Tensor
    targets: Tensor


def make_pool(samples: Sequence[Sample], problem: Problem, budget: Budget, side: int) -> Pool:
    """Photographs, bounds and classes squeezed into squares of ``side`` pixels."""
    images, masks, targets = [], [], []
    size = (side, side)
    for sample in samples:
        images.append(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA))
        mask = sample.mask.astype(np.float32)
        masks.append(cv2.resize(mask, size, interpolation=cv2.INTER_AREA))
        numbers = number_map(sample, problem.kind).astype(np.int16)
        targets.append(cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST))
    return Pool(
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255,
        budget.amplitude(torch.from_numpy(np.stack(masks))[:, None]) / 255,
        torch.from_numpy(np.stack(targets)).long(),
    )


def loss_of(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of (B, 3, S, S) images in [0, 1], without void."""
    # Channels last is what CPU convolutions are quickest with.
    normalised = (images * 4 - 2).contiguous(memory_format=torch.channels_last)
    return F.cross_entropy(network(normalised), targets, ignore_index=NOTHING)


def descend(
    network: nn.Module, pool: Pool, noise: Tensor, indices: Tensor, *, steps: int, step: float
) -> Tensor:
    """Noise of some images, moved by signed gradients so that the surrogate's loss falls.

    Args:
        network: the surrogate, from normalised images to class logits.
        pool: the training set.
        noise: (B, 3, S, S) in [-1, 1], the images' present noise.
        indices: (B,) which images.
        steps: how many moves.
        step: length of a move, as a share of the bound.

    Returns:
        (B, 3, S, S) in [-1, 1].
    """
    images, amplitude = pool.images[indices], pool.amplitude[indices]
    for _ in range(steps):
        noise = noise.detach().requires_grad_()
        loss = loss_of(network, (images + noise * amplitude).clamp(0, 1), pool.targets[indices])
        (gradient,) = torch.autograd.grad(loss, noise)
        noise = (noise - step * gradient.sign()).clamp(-1, 1)
    return noise.detach()


class ErrorMinimising(HandMade):
    """Alternating min-min: a surrogate learns noisy images, every image's noise lowers its loss.

    Huang et al., "Unlearnable examples: making personal data unexploitable" (arXiv 2101.04898),
    sample-wise noise, with a small U-Net at a small work size; the noise is enlarged bilinearly. A
    fixed number of rounds takes the place of the paper's stop at a training error.

    Args:
        side: of the square work size, pixels.
        rounds: how often the two alternate.
        fit: steps of the surrogate a round.
        moves: steps of every image's noise a round.
        step: length of such a step, as a share of the bound.
        batch_size: images a step.
        learning_rate: the surrogate's learning rate (Adam).
        width: channels of the surrogate's first level.
        budget: the bound, in 8-bit steps.
    """

    name = "em"
    summary = "error-minimising noise per image, on a small surrogate (EM)"
    seeded = False

    def __init__(
        self,
        *,
        side: int = 96,
        rounds: int = 5,
        fit: int = 40,
        moves: int = 8,
        step: float = 0.2,
        batch_size: int = 16,
        learning_rate: float = 2e-3,
        width: int = 16,
        budget: Budget = Budget(),
    ) -> None:
        if side % 8 or side < 16:
            raise UnsegError(f"em's side is {side}: give a multiple of 8, at least 16")
        super().__init__(budget=budget)
        self.side, self.rounds, self.fit, self.moves = side, rounds, fit, moves
        self.step, self.batch_size, self.learning_rate, self.width = (
            step,
            batch_size,
            learning_rate,
            width,
        )
        self._noise: dict[str, Tensor] = {}

    def prepare(self, samples: Sequence[Sample], problem: Problem, seed: int) -> None:
        pool = make_pool(samples, problem, self.budget, self.side)
        rng = torch.Generator().manual_seed(seed)
        noise = self.optimise(self.surrogate(int(pool.targets.max()) + 1, seed), pool, rng)
        self._noise = dict(zip(names_of(samples), noise, strict=True))

    def surrogate(self, classes: int, seed: int) -> nn.Module:
        """A small U-Net from scratch, (B, 3, S, S) to (B, classes, S, S)."""
        from monai.networks.nets.unet import UNet

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = UNet(
                spatial_dims=2, in_channels=3, out_channels=max(2, classes),
                channels=tuple(self.width * 2**level for level in range(4)), strides=(2, 2, 2),
                num_res_units=1, norm="batch",
            )  # fmt: skip
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def optimise(self, network: nn.Module, pool: Pool, rng: torch.Generator) -> Tensor:
        """The alternation.

        Returns:
            (N, 3, S, S) noise in [-1, 1].
        """
        noise = torch.zeros_like(pool.images)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        for _ in range(self.rounds):
            network.train()
            for _ in range(self.fit):
                some = torch.randint(len(noise), (self.batch_size,), generator=rng)
                moved = (pool.images[some] + noise[some] * pool.amplitude[some]).clamp(0, 1)
                targets = pool.targets[some]
                if torch.rand((), generator=rng) < 0.5:
                    moved, targets = moved.flip(-1), targets.flip(-1)
                optimizer.zero_grad()
                loss_of(network, moved, targets).backward()
                optimizer.step()
            network.eval()
            for some in torch.arange(len(noise)).split(self.batch_size):
                noise[some] = descend(
                    network, pool, noise[some], some, steps=self.moves, step=self.step
                )
        return noise

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        if sample.name not in self._noise:
            raise RuntimeError(f"em has no noise for {sample.name}: call prepare first")
        small = self._noise[sample.name][None]
        return F.interpolate(small, image.shape[-2:], mode="bilinear", align_corners=False)[0]
