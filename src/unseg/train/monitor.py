"""What a run tells about itself: figures, pictures, and a word when the noise collapses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from unseg.train.run_folder import RunFolder

#: Below this spatial standard deviation the noise is a constant shift, which protects nothing.
COLLAPSE_STD = 0.05


def noise_statistics(noise: Tensor) -> dict[str, float]:
    """Texture of a batch of noise.

    Args:
        noise: (B, 3, H, W) in [-1, 1].

    Returns:
        ``noise_std``: standard deviation over space, mean over channels and images;
        ``noise_hf``: share of the energy that a 9x9 mean does not carry, 0..1;
        ``noise_abs``: mean absolute value, the share of the budget that is used.

    Example:
        >>> noise_statistics(torch.full((1, 3, 16, 16), 0.5))["noise_std"]
        0.0
    """
    noise = noise.detach().float()
    smooth = F.avg_pool2d(noise, 9, 1, 4, count_include_pad=False)
    energy = noise.square().mean().clamp(min=1e-12)
    return {
        "noise_std": float(noise.flatten(2).std(dim=2).mean()),
        "noise_hf": float((noise - smooth).square().mean() / energy),
        "noise_abs": float(noise.abs().mean()),
    }


def collapsed(statistics: dict[str, float]) -> bool:
    """Whether the noise is little more than one colour."""
    return statistics["noise_std"] < COLLAPSE_STD


def noise_picture(views: Tensor, clean: Tensor, noise: Tensor) -> Image.Image:
    """Rows of clean image, protected image and noise, for the fixed validation images.

    Args:
        views: (B, 3, S, S) protected, in [0, 255].
        clean: (B, 3, S, S), in [0, 255].
        noise: (B, 3, G, G), in [-1, 1].
    """
    shown = F.interpolate((noise.float() + 1) * 127.5, views.shape[-2:], mode="nearest")
    rows = [torch.cat(list(part), dim=-1) for part in (clean, views, shown)]
    sheet = torch.cat(rows, dim=-2).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(sheet)


class Monitor:
    """Writes the log, TensorBoard events and pictures; silent on all but one process.

    Args:
        run: the run's folder; its log has been opened.
        since: the step at which the run goes on: later events of an interrupted run are dropped.
    """

    def __init__(self, run: RunFolder, *, since: int = 0) -> None:
        self.run = run
        self._board: Any = None
        if run.writes:
            from torch.utils.tensorboard import SummaryWriter

            (run.path / "samples").mkdir(parents=True, exist_ok=True)
            self._board = SummaryWriter(str(run.path / "tensorboard"), purge_step=since or None)

    def write(self, step: int, phase: str, figures: Mapping[str, float]) -> None:
        """One line of the log and one point of each TensorBoard curve."""
        self.run.log(step, phase, figures)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{phase}/{name}", value, step)

    def picture(self, step: int, image: Image.Image) -> None:
        """Save a picture under ``samples/``."""
        if self.run.writes:
            image.save(self.run.path / "samples" / f"step-{step:06d}.png")

    def close(self) -> None:
        """Flush the TensorBoard events."""
        if self._board is not None:
            self._board.close()
