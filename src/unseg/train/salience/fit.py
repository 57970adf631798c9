"""Fits a salience head to scenes: features once, cached; then AdamW and a cosine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unseg.errors import UnsegError
from unseg.models.salience import SalienceConfig, SalienceHead, write_salience
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import module_sha256
from unseg.seed import seed_everything
from unseg.train.cache import FeatureCache
from unseg.train.corpus import Entry, files_sha256, split
from unseg.train.salience.scenes import BACKGROUND, FOREGROUND, Scene, SceneMaker

STATE = "state.pt"
WEIGHTS = "salience.safetensors"
LOG = "log.jsonl"

Report = Callable[[str, int, int, dict[str, float]], None]
"""Told the stage (``features`` or ``head``), how much of how much is done, and figures."""


@dataclass(frozen=True)
class SalienceSettings:
    """Settings of a run.

    Args:
        scenes: scenes to learn from.
        steps: optimiser steps.
        batch: scenes a step.
        rate: peak learning rate.
        decay: weight decay of AdamW.
        dice: weight of the soft dice loss beside cross entropy.
        width: channels of the head's hidden layers.
        size: side of the encoder's input, in pixels.
        threshold: a pixel is foreground where its probability is larger, in use. The default was
            chosen on Penn-Fudan's training images, where one half covers more of other things.
        held: share of the cut-outs that only validate.
        validation: most pictures to validate on.
        every: steps between validations and checkpoints.
        seed: of everything.
    """

    scenes: int = 1400
    steps: int = 300
    batch: int = 12
    rate: float = 2e-3
    decay: float = 0.05
    dice: float = 0.5
    width: int = 48
    size: int = 512
    threshold: float = 0.7
    held: float = 0.05
    validation: int = 48
    every: int = 50
    seed: int = 0


@dataclass(frozen=True)
class Item:
    """A scene as the head sees it.

    Args:
        embedding: (1, 256, g, g) float16, on the CPU.
        positive: (1, 2g, 2g) float16, the share of each cell that is foreground.
        negative: the same of background; what is left is unknown.
    """

    embedding: Tensor
    positive: Tensor
    negative: Tensor


class SalienceRun:
    """One training run; continues where its folder's checkpoint left it.

    Args:
        base: the frozen SAM.
        cutouts: pictures whose ground truth tells foreground from background.
        scenery: pictures without such a truth.
        settings: see there.
        folder: for log, checkpoint, cached features and weights.
    """

    def __init__(
        self,
        base: SamBase,
        cutouts: Sequence[Entry],
        scenery: Sequence[Entry],
        settings: SalienceSettings,
        folder: Path,
    ) -> None:
        if min(settings.scenes, settings.steps, settings.batch, settings.every) < 1:
            raise UnsegError(
                f"scenes {settings.scenes}, steps {settings.steps}, batch {settings.batch} and "
                f"every {settings.every}: each must be at least 1"
            )
        self.base = base.at_size(settings.size)
        self.settings, self.folder = settings, folder
        self.origin = files_sha256([*cutouts, *scenery]) + module_sha256(base.encoder)
        training, held = split(cutouts, settings.held, settings.seed)
        self._maker = SceneMaker(training, scenery, settings.size, settings.seed)
        self._held = SceneMaker(held, [], settings.size, settings.seed)
        self._validation = min(len(held), settings.validation)

    def run(self, report: Report, card: dict[str, Any]) -> float:
        """Train, or continue, and write the weights.

        Args:
            report: progress.
            card: where the run came from, for the weights' record.

        Returns:
            IoU on the validation pictures, of the last step, at a probability of one half.
        """
        seed_everything(self.settings.seed)
        cache = FeatureCache(self.folder / "cache", self.base)
        total = self._validation + self.settings.scenes
        held: list[Item] = []
        training: list[Item] = []
        for number in range(total):
            fresh = number >= self._validation
            scene = (
                self._maker.draw(number - self._validation) if fresh else self._held.whole(number)
            )
            (training if fresh else held).append(_prepared(cache, scene))
            report("features", number + 1, total, {})
        head = SalienceHead(
            SalienceConfig(
                width=self.settings.width,
                image_size=self.settings.size,
                threshold=self.settings.threshold,
                base=self.base.architecture.to_json(),
            )
        )
        iou = self._fit(head, training, held, report)
        write_salience(
            head, self.folder / WEIGHTS,
            {"settings": asdict(self.settings), "validation_iou": iou, **card},
        )  # fmt: skip
        return iou

    def _fit(
        self, head: SalienceHead, training: list[Item], held: list[Item], report: Report
    ) -> float:
        chosen = self.settings
        device = next(self.base.parameters()).device
        head.to(device).train()
        optimiser = torch.optim.AdamW(head.parameters(), chosen.rate, weight_decay=chosen.decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, chosen.steps)
        iou, first = self._restore(head, optimiser, schedule)
        for step in range(first, chosen.steps):
            rng = np.random.default_rng([chosen.seed, step])
            picked = [training[i] for i in rng.integers(len(training), size=chosen.batch)]
            embedding, positive, negative = _batch(picked, bool(rng.random() < 0.5), device)
            loss = salience_loss(head(embedding), positive, negative, chosen.dice)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            figures = {"loss": loss.item()}
            if (step + 1) % chosen.every == 0 or step + 1 == chosen.steps:
                iou = self._validate(head, held, device)
                figures["iou"] = iou
                self._save(head, optimiser, schedule, step + 1, iou)
            self._log(step + 1, figures)
            report("head", step + 1, chosen.steps, figures)
        head.eval()
        return iou

    @torch.no_grad()
    def _validate(self, head: SalienceHead, held: list[Item], device: torch.device) -> float:
        """IoU over all validation pictures together."""
        head.eval()
        both = either = 0.0
        for item in held:
            embedding, positive, negative = _batch([item], False, device)
            known, truth = positive + negative > 0.5, positive > 0.5
            found = (head(embedding) > 0) & known
            both += float((found & truth).sum())
            either += float((found | truth).sum())
        head.train()
        return both / max(either, 1.0)

    def _log(self, step: int, figures: dict[str, float]) -> None:
        rounded = {name: round(value, 6) for name, value in figures.items()}
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps({"step": step, **rounded}) + "\n")

    def _save(
        self, head: SalienceHead, optimiser: Any, schedule: Any, step: int, iou: float
    ) -> None:
        state = {
            "settings": json.dumps(asdict(self.settings)), "origin": self.origin, "step": step,
            "iou": iou, "head": head.state_dict(), "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
        }  # fmt: skip
        temporary = self.folder / f"{STATE}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / STATE)

    def _restore(self, head: SalienceHead, optimiser: Any, schedule: Any) -> tuple[float, int]:
        """The last IoU and the step to go on from; what the log knows beyond it is dropped."""
        path = self.folder / STATE
        iou, step = 0.0, 0
        if path.exists():
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
                same = json.loads(state["settings"]) == asdict(self.settings)
                same = same and state["origin"] == self.origin
                iou, step = float(state["iou"]), int(state["step"])
            except Exception as error:  # torch and json raise whatever a damaged file leads to
                first = (str(error).splitlines() or [type(error).__name__])[0]
                raise UnsegError(
                    f"{path} is not a checkpoint of unseg train-salience ({first}): start again "
                    "in a new folder"
                ) from error
            if not same:
                raise UnsegError(
                    f"{path} was trained with other settings, files or another base: resume with "
                    "the same ones or start in a new folder"
                )
            head.load_state_dict(state["head"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
        log = self.folder / LOG
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("".join(line + "\n" for line in lines[:step]))
        return iou, step


def salience_loss(logits: Tensor, positive: Tensor, negative: Tensor, dice: float) -> Tensor:
    """Cross entropy plus soft dice, where something is known.

    Args:
        logits: (B, 1, s, s).
        positive: (B, 1, s, s), the share of each cell that is foreground.
        negative: the share that is background.
        dice: weight of the dice loss.
    """
    known = positive + negative
    entropy = F.softplus(-logits) * positive + F.softplus(logits) * negative
    found = logits.sigmoid() * known
    overlap = 2 * (found * positive).sum() + 1
    return entropy.sum() / known.sum().clamp(min=1) + dice * (
        1 - overlap / (found.sum() + positive.sum() + 1)
    )


def _prepared(cache: FeatureCache, scene: Scene) -> Item:
    image = torch.from_numpy(scene.image).permute(2, 0, 1)
    found = cache.features(image)
    truth = torch.from_numpy(scene.truth)[None, None]
    cell = truth.shape[-1] // (2 * found.embedding.shape[-1])
    shares = [
        F.avg_pool2d((truth == value).float(), cell)[0].half() for value in (FOREGROUND, BACKGROUND)
    ]
    return Item(found.embedding.half(), *shares)


def _batch(items: Sequence[Item], mirror: bool, device: torch.device) -> tuple[Tensor, ...]:
    """Embeddings, foreground and background of several scenes, float32 on the device."""

    def joined(parts: list[Tensor]) -> Tensor:
        whole = torch.cat(parts).to(device).float()
        return whole.flip(-1) if mirror else whole

    return (
        joined([one.embedding for one in items]),
        joined([one.positive[None] for one in items]),
        joined([one.negative[None] for one in items]),
    )
