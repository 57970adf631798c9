"""The paper's Algorithm 1: alternate surrogate and generator, both minimising the same loss."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.registry import write_generator
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import module_sha256
from unseg.seed import seed_everything
from unseg.ssimulacra2 import LEAST, score
from unseg.train.batches import Batches, TrainingSample, as_trained_on, make_views, step_rng
from unseg.train.cache import FeatureCache
from unseg.train.centres import fit_centres
from unseg.train.config import TrainConfig
from unseg.train.corpus import CorpusEntry, files_sha256, split
from unseg.train.losses import mask_iou, mask_loss
from unseg.train.monitor import Monitor, collapsed, noise_picture, noise_statistics
from unseg.train.prompts import draw_prompts, random_one
from unseg.train.run_folder import (
    RunFolder,
    RunIdentity,
    RunInterrupted,
    StepReport,
    interruptible,
)
from unseg.train.surrogates import Surrogates

COMMAND = "unseg train"


@dataclass
class TrainingProgress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    best_gap: float = float("-inf")
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def build_generator(base: SamBase, config: TrainConfig) -> NoiseGenerator:
    """The untrained generator that a configuration describes."""
    models = config.models
    head = HeadConfig(
        width=models.head_width,
        mask_feature=models.mask_feature,
        textures=models.textures,
        codebook=models.codebook,
        logit_scale=models.logit_scale,
        background=config.noise.epsilon_background > 0,
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


class BilevelTrainer:
    """One bilevel run.

    Args:
        base: frozen SAM at the size of the generator's input.
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
        entries: Sequence[CorpusEntry],
        config: TrainConfig,
        folder: Path,
        *,
        cache_folder: Path | None = None,
        mixed_precision: str = "no",
        cpu: bool = False,
    ) -> None:
        models, optimisation = config.models, config.optimisation
        seed_everything(optimisation.seed)
        self.config, self.folder = config, folder
        self.accelerator = Accelerator(
            mixed_precision=mixed_precision,
            cpu=cpu,
            # A prompt type that is not drawn leaves its embeddings without gradient.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.device = self.accelerator.device
        base.to(self.device)
        self.training, self.validation = split(
            entries, config.data.validation_share, optimisation.seed
        )
        self.identity = RunIdentity(
            COMMAND, config.as_dict(), files_sha256(entries), module_sha256(base)
        )
        cache = FeatureCache(cache_folder if config.data.jitter_after else None, base)
        generator = build_generator(base, config)
        if generator.codebook is not None:
            book = generator.codebook
            book.centres.copy_(
                fit_centres(
                    self.training, cache, len(book.centres), models.generator_size,
                    optimisation.seed,
                )
            )  # fmt: skip
        optimiser = torch.optim.Adam(generator.trainable(), lr=optimisation.generator_learning_rate)
        self.generator, self.generator_optimiser = self.accelerator.prepare(generator, optimiser)
        self.surrogates = Surrogates(config, self.accelerator)
        self.batches = Batches(self.training, config, cache)
        self.held_out = Batches(self.validation, config, FeatureCache(cache_folder, base))
        self.progress = TrainingProgress()
        self._reader = ThreadPoolExecutor(1)
        self._ahead: tuple[int, Future[list[TrainingSample]]] | None = None

    @property
    def epoch_steps(self) -> int:
        """Steps an epoch, on every process."""
        whole = len(self.training) // (
            self.config.optimisation.batch_size * self.accelerator.num_processes
        )
        return self.config.optimisation.epoch_steps or max(1, whole)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.optimisation.epochs * self.epoch_steps

    def step(self, step: int) -> tuple[str, dict[str, float]]:
        """Do one step of the phase that its epoch belongs to.

        Returns:
            ``surrogate`` or ``generator``, and the step's figures.
        """
        config, accelerator = self.config, self.accelerator
        optimisation, sampling = config.optimisation, config.loss
        rank, epoch = accelerator.process_index, step // self.epoch_steps
        rng = step_rng(optimisation.seed, step, 2 * rank + 1)
        samples = self._drawn(step)
        trains_surrogate = config.trains_surrogate(epoch)
        self.surrogates.renew(step, self.epoch_steps)
        number = self.surrogates.place(step, self.epoch_steps)
        generator, surrogate = self.generator, self.surrogates.models[number]
        share = 0.1 if epoch >= optimisation.learning_rate_drop_epoch else 1.0
        if trains_surrogate:
            fixed = generator = accelerator.unwrap_model(generator)
            optimiser = self.surrogates.optimisers[number]
            self.surrogates.set_learning_rate(number, share * optimisation.surrogate_learning_rate)
        else:
            fixed = surrogate = self.surrogates.plain(number)
            optimiser = self.generator_optimiser
            for group in optimiser.param_groups:
                group["lr"] = share * optimisation.generator_learning_rate
        with frozen(fixed), accelerator.autocast():
            with torch.set_grad_enabled(not trains_surrogate):
                views = make_views(generator, samples, config, self.device, rng)
            seen = as_trained_on(views.protected, config, rng)
            logits = self._segment(number, surrogate, seen, views.target, rng)
            wanted = views.target
            if config.noise.label_modification and not trains_surrogate:
                wanted = torch.ones_like(wanted)
            loss = mask_loss(
                logits, wanted, points=sampling.points_sampled,
                oversample=sampling.oversample_ratio,
                importance=sampling.importance_sample_ratio, rng=rng,
            )  # fmt: skip
            figures = {"loss": float(loss.detach())}
            if config.noise.visibility and not trains_surrogate:
                scores = self._scores(views.clean, views.protected)
                seen_by_people = (config.noise.visibility - scores).clamp(min=0).mean() / 10
                loss = loss + config.noise.visibility_weight * seen_by_people
                figures["visibility"] = float(scores.detach().mean())
            # All: a scaler looks for overflow in everybody's gradients.
            self.generator_optimiser.zero_grad(set_to_none=True)
            self.surrogates.zero_grad()
            accelerator.backward(loss)
        accelerator.clip_grad_norm_(
            [p for group in optimiser.param_groups for p in group["params"]], 1.0
        )
        optimiser.step()
        figures["iou"] = float(mask_iou(logits, views.target))
        phase = "surrogate" if trains_surrogate else "generator"
        return phase, figures | noise_statistics(views.noise)

    def _drawn(self, step: int) -> list[TrainingSample]:
        """The samples of a step; those of the next one are read meanwhile."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes

        def read(number: int) -> tuple[int, Future[list[TrainingSample]]]:
            return number, self._reader.submit(self.batches.draw, number, rank, world)

        asked, samples = self._ahead if self._ahead and self._ahead[0] == step else read(step)
        found = samples.result()
        self._ahead = read(asked + 1)
        return found

    def _scores(self, clean: Tensor, protected: Tensor) -> Tensor:
        """(B,) SSIMULACRA2 of views; those without any noise are at 100."""
        with torch.autocast(self.device.type, enabled=False):
            return score(clean.float(), protected.float())

    def _segment(
        self, number: int, surrogate: nn.Module, views: Tensor, target: Tensor,
        rng: torch.Generator, types: list[Any] | None = None,
    ) -> Tensor:  # fmt: skip
        plain: Any = self.surrogates.plain(number)
        chosen = self.config.prompts
        prompts = draw_prompts(
            target, types or random_one(chosen.surrogate_prompts, rng),
            size=plain.size, grid=plain.grid, points=chosen.points,
            perturb=chosen.perturb_boundary, rng=rng,
        )  # fmt: skip
        return surrogate(views, prompts)

    @torch.no_grad()
    def validate(self, samples: list[TrainingSample]) -> tuple[dict[str, float], Any]:
        """How far the surrogates rely on the noise.

        Their IoU on protected validation images should be high, on the same images without noise
        low. The difference picks the best checkpoint, less a tenth of what the noise is seen more
        than it may. No victim and no test image is involved.

        Returns:
            ``iou_protected``, ``iou_clean``, ``gap``, ``visibility`` and noise statistics; and a
            picture.
        """
        config = self.config
        generator = self.accelerator.unwrap_model(self.generator).eval()
        hint: list[Any] = ["none"] if "none" in config.prompts.surrogate_prompts else ["point"]
        sums = {"iou_protected": 0.0, "iou_clean": 0.0, "visibility": 0.0}
        picture: Any = None
        noises = []
        size = config.optimisation.batch_size
        for first in range(0, len(samples), size):
            some = samples[first : first + size]
            rng = step_rng(config.optimisation.seed, first, 62)
            views = make_views(generator, some, config, self.device, rng, prompt_types=["mask"])
            for name, images in (("iou_protected", views.protected), ("iou_clean", views.clean)):
                for number in range(len(self.surrogates.models)):
                    network = self.surrogates.plain(number).eval()
                    logits = self._segment(
                        number, network, images, views.target, step_rng(0, first, 61), hint
                    )
                    network.train()
                    share = len(some) / len(self.surrogates.models)
                    sums[name] += float(mask_iou(logits, views.target)) * share
            if min(views.clean.shape[-2:]) >= LEAST:
                sums["visibility"] += float(self._scores(views.clean, views.protected).sum())
            noises.append(views.noise)
            picture = picture or noise_picture(
                views.protected[:6], views.clean[:6], views.noise[:6]
            )
        generator.train()
        figures = {name: value / len(samples) for name, value in sums.items()}
        figures["gap"] = figures["iou_protected"] - figures["iou_clean"]
        if config.noise.visibility:
            excess = max(0.0, config.noise.visibility - figures["visibility"])
            figures["gap"] -= config.noise.visibility_weight * excess / 10
        return figures | noise_statistics(torch.cat(noises)), picture

    def run(
        self,
        *,
        resume: bool = False,
        stop_after: int | None = None,
        save_every: int = 200,
        validate_every: int = 200,
        validation_images: int = 32,
        report: StepReport = lambda *_: None,
        record: dict[str, Any] | None = None,
    ) -> TrainingProgress:
        """Train to the end, or to ``stop_after`` steps.

        Args:
            resume: continue from the last checkpoint of the folder, where it has one.
            stop_after: stop, with a checkpoint, once this many steps are done in all.
            save_every: steps between checkpoints.
            validate_every: steps between validations and pictures.
            validation_images: fixed validation images.
            report: called after every step with phase, step, last step and figures.
            record: where the run comes from, for its folder and the weights' metadata.

        Returns:
            The progress at the end.

        Raises:
            UnsegError: when the folder holds another run.
            RunInterrupted: after Ctrl-C; there is a checkpoint then.
        """
        main = self.accelerator.is_main_process
        run = RunFolder(self.folder, self.identity, writes=main)
        if state := run.begin(record or {}, resume=resume):
            self._restore(state)
        progress, started = self.progress, time.monotonic() - self.progress.seconds
        monitor = Monitor(run, since=progress.step)
        held_out = self.held_out.fixed(validation_images) if main else []
        last = min(self.total_steps, stop_after or self.total_steps)
        self.generator.train()
        with interruptible() as asked:
            while progress.step < last:
                phase, figures = self.step(progress.step)
                progress.step += 1
                progress.seconds = time.monotonic() - started
                monitor.write(progress.step, phase, figures)
                report(phase, progress.step, last, figures)
                done = progress.step == last
                if main and (progress.step % validate_every == 0 or done):
                    found, picture = self.validate(held_out)
                    monitor.write(progress.step, "validation", found)
                    monitor.picture(progress.step, picture)
                    report("validation", progress.step, last, found)
                    progress.history.append({"step": progress.step, **found})
                    if collapsed(found):
                        report("collapse", progress.step, last, found)
                    elif found["gap"] > progress.best_gap:
                        progress.best_gap = found["gap"]
                        self._write_weights("best", record)
                stopped = self._agreed(asked())
                if progress.step % save_every == 0 or done or stopped:
                    self.accelerator.wait_for_everyone()
                    if main:
                        self._save(run)
                        self._write_weights("last", record)
                if stopped and not done:
                    monitor.close()
                    raise RunInterrupted(progress.step)
        self.accelerator.wait_for_everyone()
        monitor.close()
        return progress

    def _agreed(self, asked: bool) -> bool:
        """Whether any process was asked to stop: all stop after the same step."""
        if self.accelerator.num_processes == 1:
            return asked
        wishes = self.accelerator.gather(torch.tensor([asked], device=self.device))
        return bool(wishes.any())

    def _save(self, run: RunFolder) -> None:
        """Write weights, optimisers and progress; random numbers follow from the step number."""
        unwrap = self.accelerator.unwrap_model
        generator = unwrap(self.generator)
        head = {n: p for n, p in generator.named_parameters() if p.requires_grad}
        head |= {n: b for n, b in generator.named_buffers() if n.startswith("codebook.")}
        tensors = {
            "generator": {name: tensor.detach().cpu() for name, tensor in head.items()},
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "surrogates": self.surrogates.state(),
        }
        if self.accelerator.scaler is not None:
            tensors["scaler"] = self.accelerator.scaler.state_dict()
        run.save(self.progress.step, tensors, asdict(self.progress))

    def _restore(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`_save` was called."""
        unwrap = self.accelerator.unwrap_model
        unwrap(self.generator).load_state_dict(state["generator"], strict=False)
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        self.surrogates.restore(state["surrogates"])
        if self.accelerator.scaler is not None and "scaler" in state:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = TrainingProgress(**state["progress"])

    def _write_weights(self, name: str, record: dict[str, Any] | None) -> None:
        """Write ``name.safetensors``, ready for use."""
        trained = self.accelerator.unwrap_model(self.generator)
        progress = {k: v for k, v in asdict(self.progress).items() if k != "history"}
        training = {
            "settings": self.config.as_dict(),
            "progress": progress,
            "base": {"name": trained.base.name, "sha256": self.identity.base},
            **(record or {}),
        }
        path = self.folder / f"{name}.safetensors"
        write_generator(trained, path, training=training)
