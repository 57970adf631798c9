"""The paper's Algorithm 1: alternate surrogate and generator, both minimising the same loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.sam.base import SamBase
from unseg.models.surrogate import Surrogate
from unseg.seed import seed_everything
from unseg.train.batches import Batches, Sample, clean_views, protected_views, step_rng
from unseg.train.cache import FeatureCache
from unseg.train.centres import fit_centres
from unseg.train.checkpoint import load_state, save_generator, save_state
from unseg.train.config import TrainConfig
from unseg.train.corpus import Entry, files_sha256, split
from unseg.train.losses import mask_iou, mask_loss
from unseg.train.monitor import Monitor, collapsed, noise_picture, noise_statistics
from unseg.train.prompts import draw_prompts, random_one


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    best_gap: float = float("-inf")
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def build_generator(base: SamBase, config: TrainConfig) -> NoiseGenerator:
    """The untrained generator that a configuration describes."""
    head = HeadConfig(
        width=config.head_width,
        mask_feature=config.mask_feature,
        local_norm=config.local_norm,
        textures=config.textures,
        codebook=config.codebook,
        logit_scale=config.logit_scale,
        background=config.epsilon_background > 0,
    )
    return NoiseGenerator(base, head)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through a module without reaching its parameters."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


class Trainer:
    """One bilevel run.

    Args:
        base: frozen SAM at ``config.generator_size``.
        entries: corpus files; split here into training and validation.
        config: every choice.
        folder: where the run's files go.
        cache_folder: where frozen features are kept; used only with ``jitter_after``, because
            views that are jittered before the encoder never come again.
        mixed_precision: accelerate's ``no``, ``fp16`` or ``bf16``.
        cpu: keep off any GPU.
    """

    def __init__(
        self,
        base: SamBase,
        entries: list[Entry],
        config: TrainConfig,
        folder: Path,
        *,
        cache_folder: Path | None = None,
        mixed_precision: str = "no",
        cpu: bool = False,
    ) -> None:
        seed_everything(config.seed)
        self.config, self.folder = config, folder
        self.accelerator = Accelerator(
            mixed_precision=mixed_precision,
            cpu=cpu,
            # A prompt type that is not drawn leaves its embeddings without gradient.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.device = self.accelerator.device
        self.training, self.validation = split(entries, config.validation_share, config.seed)
        self.files = files_sha256(entries)
        cache = FeatureCache(cache_folder if config.jitter_after else None, base)
        generator = build_generator(base, config)
        if generator.codebook is not None:
            book = generator.codebook
            book.centres.copy_(
                fit_centres(
                    self.training, cache, len(book.centres), config.generator_size, config.seed
                )
            )
        surrogate = Surrogate(config.surrogate, config.surrogate_size, config.surrogate_width)
        optimisers = (
            torch.optim.Adam(generator.trainable(), lr=config.generator_lr),
            torch.optim.Adam(
                [p for p in surrogate.parameters() if p.requires_grad], lr=config.surrogate_lr
            ),
        )
        self.generator, self.surrogate, self.generator_optimiser, self.surrogate_optimiser = (
            self.accelerator.prepare(generator, surrogate, *optimisers)
        )
        self.batches = Batches(self.training, config, cache)
        self.held_out = Batches(self.validation, config, FeatureCache(cache_folder, base))
        self.progress = Progress()

    @property
    def epoch_steps(self) -> int:
        """Steps an epoch, on every process."""
        whole = len(self.training) // (self.config.batch_size * self.accelerator.num_processes)
        return self.config.epoch_steps or max(1, whole)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.epoch_steps

    def step(self, step: int) -> tuple[str, dict[str, float]]:
        """Do one step of the phase that its epoch belongs to.

        Returns:
            ``surrogate`` or ``generator``, and the step's figures.
        """
        config, accelerator = self.config, self.accelerator
        rank, epoch = accelerator.process_index, step // self.epoch_steps
        rng = step_rng(config.seed, step, 2 * rank + 1)
        samples = self.batches.draw(step, rank, accelerator.num_processes)
        trains_surrogate = config.trains_surrogate(epoch)
        generator, surrogate = self.generator, self.surrogate
        if trains_surrogate:
            optimiser, fixed = self.surrogate_optimiser, accelerator.unwrap_model(generator)
            generator = fixed
        else:
            optimiser, fixed = self.generator_optimiser, accelerator.unwrap_model(surrogate)
            surrogate = fixed
        for group in optimiser.param_groups:
            rate = config.surrogate_lr if trains_surrogate else config.generator_lr
            group["lr"] = rate * (0.1 if epoch >= config.drop_epoch else 1.0)
        with frozen(fixed), accelerator.autocast():
            views, target, noise = protected_views(
                generator, samples, config, self.device, rng
            )  # fmt: skip
            logits = self._segment(surrogate, views, target, rng)
            wanted = target
            if config.label_modification and not trains_surrogate:
                wanted = torch.ones_like(target)
            loss = mask_loss(
                logits, wanted, points=config.loss_points, oversample=config.oversample,
                importance=config.importance, rng=rng,
            )  # fmt: skip
            # Both: a scaler looks for overflow in either one's gradients.
            self.generator_optimiser.zero_grad(set_to_none=True)
            self.surrogate_optimiser.zero_grad(set_to_none=True)
            accelerator.backward(loss)
        accelerator.clip_grad_norm_(
            [p for group in optimiser.param_groups for p in group["params"]], 1.0
        )
        optimiser.step()
        figures = {"loss": float(loss.detach()), "iou": float(mask_iou(logits, target))}
        return "surrogate" if trains_surrogate else "generator", figures | noise_statistics(noise)

    def _segment(
        self, surrogate: nn.Module, views: Tensor, target: Tensor, rng: torch.Generator,
        types: list[Any] | None = None,
    ) -> Tensor:  # fmt: skip
        plain = self.accelerator.unwrap_model(surrogate)
        prompts = draw_prompts(
            target, types or random_one(self.config.surrogate_prompts, rng),
            size=plain.size, grid=plain.grid, points=self.config.points,
            perturb=self.config.perturb_boundary, rng=rng,
        )  # fmt: skip
        return surrogate(views, prompts)

    @torch.no_grad()
    def validate(self, samples: list[Sample]) -> tuple[dict[str, float], Any]:
        """How far the surrogate relies on the noise.

        Its IoU on protected validation images should be high, on the same images without noise
        low; the difference picks the best checkpoint. No victim and no test image is involved.

        Returns:
            ``iou_protected``, ``iou_clean``, ``gap`` and noise statistics; and a picture.
        """
        config = self.config
        generator = self.accelerator.unwrap_model(self.generator).eval()
        surrogate = self.accelerator.unwrap_model(self.surrogate).eval()
        hint: list[Any] = ["none"] if "none" in config.surrogate_prompts else ["point"]
        sums = {"iou_protected": 0.0, "iou_clean": 0.0}
        picture: Any = None
        noises = []
        for first in range(0, len(samples), config.batch_size):
            some = samples[first : first + config.batch_size]
            rng = step_rng(config.seed, first, 62)
            views, target, noise = protected_views(
                generator, some, config, self.device, rng, prompt_types=["mask"], robust=0.0
            )
            clean, _ = clean_views(some, config, self.device)
            for name, images in (("iou_protected", views), ("iou_clean", clean)):
                logits = self._segment(surrogate, images, target, step_rng(0, first, 61), hint)
                sums[name] += float(mask_iou(logits, target)) * len(some)
            noises.append(noise)
            picture = picture or noise_picture(views[:6], clean[:6], noise[:6])
        generator.train()
        surrogate.train()
        figures = {name: value / len(samples) for name, value in sums.items()}
        figures["gap"] = figures["iou_protected"] - figures["iou_clean"]
        return figures | noise_statistics(torch.cat(noises)), picture

    def run(
        self,
        *,
        resume: bool = False,
        stop_after: int | None = None,
        save_every: int = 200,
        validate_every: int = 200,
        validation_images: int = 32,
        report: Callable[[int, str, dict[str, float]], None] = lambda *_: None,
        model_card: dict[str, Any] | None = None,
    ) -> Progress:
        """Train to the end, or to ``stop_after`` steps.

        Args:
            resume: continue from the last checkpoint of the folder.
            stop_after: stop, with a checkpoint, once this many steps are done in all.
            save_every: steps between checkpoints.
            validate_every: steps between validations and pictures.
            validation_images: fixed validation images.
            report: called after every step with step, phase and figures.
            model_card: extra metadata of the exported weights.

        Returns:
            The progress at the end.
        """
        main = self.accelerator.is_main_process
        if resume:
            self.progress = load_state(self)
        monitor = Monitor(self.folder, active=main, since=self.progress.step)
        held_out = self.held_out.fixed(validation_images) if main else []
        last = min(self.total_steps, stop_after or self.total_steps)
        self.generator.train()
        self.surrogate.train()
        progress, started = self.progress, time.monotonic() - self.progress.seconds
        while progress.step < last:
            phase, figures = self.step(progress.step)
            progress.step += 1
            progress.seconds = time.monotonic() - started
            monitor.write(progress.step, phase, figures)
            report(progress.step, phase, figures)
            done = progress.step == last
            if main and (progress.step % validate_every == 0 or done):
                found, picture = self.validate(held_out)
                monitor.write(progress.step, "validation", found)
                monitor.picture(progress.step, picture)
                report(progress.step, "validation", found)
                progress.history.append({"step": progress.step, **found})
                if collapsed(found):
                    report(progress.step, "collapse", found)
                elif found["gap"] > progress.best_gap:
                    progress.best_gap = found["gap"]
                    save_generator(self, "best", model_card)
            if progress.step % save_every == 0 or done:
                self.accelerator.wait_for_everyone()
                if main:
                    save_state(self)
                    save_generator(self, "last", model_card)
        self.accelerator.wait_for_everyone()
        monitor.close()
        return progress
