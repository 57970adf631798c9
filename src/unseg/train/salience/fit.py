"""Fits a salience head to scenes: features once, cached; then AdamW and a cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unseg.models.salience import SalienceConfig, SalienceHead, write_salience
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import module_sha256
from unseg.seed import seed_everything
from unseg.train.cache import FeatureCache
from unseg.train.corpus import CorpusEntry, files_sha256, split
from unseg.train.run_folder import (
    RunFolder,
    RunIdentity,
    RunInterrupted,
    StepReport,
    interruptible,
)
from unseg.train.salience.config import SalienceSettings
from unseg.train.salience.scenes import BACKGROUND, FOREGROUND, Scene, SceneMaker
from unseg.train.settings import as_dict

COMMAND = "unseg train-salience"
WEIGHTS = "salience.safetensors"


@dataclass(frozen=True)
class SceneFeatures:
    """A scene as the head sees it.

    Args:
        embedding: (1, 256, g, g) float16, on the CPU.
        positive: (1, 2g, 2g) float16, the share of each cell that is foreground.
        negative: the same of background; what is left is unknown.
    """

    embedding: Tensor
    positive: Tensor
    negative: Tensor


class SalienceTrainer:
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
        cutouts: Sequence[CorpusEntry],
        scenery: Sequence[CorpusEntry],
        settings: SalienceSettings,
        folder: Path,
    ) -> None:
        self.base = base.at_size(settings.models.image_size)
        self.settings, self.folder = settings, folder
        self.identity = RunIdentity(
            COMMAND,
            as_dict(settings),
            files_sha256([*cutouts, *scenery]),
            module_sha256(base),
        )
        data, size, seed = settings.data, settings.models.image_size, settings.optimisation.seed
        training, held = split(cutouts, data.validation_share, seed)
        self._maker = SceneMaker(training, scenery, size, seed)
        self._held = SceneMaker(held, [], size, seed)
        self._validation = min(len(held), data.validation_images)

    def run(
        self,
        *,
        resume: bool = False,
        report: StepReport = lambda *_: None,
        record: dict[str, Any] | None = None,
    ) -> float:
        """Train, and write the weights.

        Args:
            resume: continue from the last checkpoint of the folder, where it has one.
            report: called with the phase (``features``, ``head`` or ``validation``), how many of
                how many are done, and figures.
            record: where the run comes from, for its folder and the weights' metadata.

        Returns:
            IoU on the validation pictures, of the last step, at a probability of one half.

        Raises:
            UnsegError: when the folder holds another run.
            RunInterrupted: after Ctrl-C; there is a checkpoint then.
        """
        chosen = self.settings
        run = RunFolder(self.folder, self.identity)
        state = run.begin(record or {}, resume=resume)
        seed_everything(chosen.optimisation.seed)
        cache = FeatureCache(self.folder / "cache", self.base)
        total = chosen.data.scenes + self._validation
        held: list[SceneFeatures] = []
        training: list[SceneFeatures] = []
        for number in range(total):
            fresh = number >= self._validation
            scene = (
                self._maker.draw(number - self._validation) if fresh else self._held.whole(number)
            )
            (training if fresh else held).append(_prepared(cache, scene))
            report("features", number + 1, total, {})
        head = SalienceHead(
            SalienceConfig(
                width=chosen.models.width,
                image_size=chosen.models.image_size,
                threshold=chosen.models.threshold,
                base=self.base.architecture.to_json(),
            )
        )
        iou = self._fit(head, training, held, run, state, report)
        training_record = {
            "settings": as_dict(chosen),
            "validation_iou": iou,
            "base": {"name": self.base.name, "sha256": self.identity.base},
            **(record or {}),
        }
        write_salience(head, self.folder / WEIGHTS, training_record)
        return iou

    def _fit(
        self,
        head: SalienceHead,
        training: list[SceneFeatures],
        held: list[SceneFeatures],
        run: RunFolder,
        state: dict[str, Any] | None,
        report: StepReport,
    ) -> float:
        chosen = self.settings.optimisation
        device = next(self.base.parameters()).device
        head.to(device).train()
        optimiser = torch.optim.AdamW(
            head.parameters(), chosen.learning_rate, weight_decay=chosen.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, chosen.steps)
        parts: dict[str, Any] = {"head": head, "optimiser": optimiser, "schedule": schedule}
        iou, first = 0.0, 0
        if state is not None:
            for name, part in parts.items():
                part.load_state_dict(state[name])
            iou, first = state["progress"]["iou"], state["step"]
        with interruptible() as asked:
            for step in range(first, chosen.steps):
                rng = np.random.default_rng([chosen.seed, step])
                picked = [training[i] for i in rng.integers(len(training), size=chosen.batch_size)]
                embedding, positive, negative = _batch(picked, bool(rng.random() < 0.5), device)
                loss = salience_loss(
                    head(embedding), positive, negative, self.settings.loss.dice_weight
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                done = step + 1
                run.log(done, "head", {"loss": loss.item()})
                report("head", done, chosen.steps, {"loss": loss.item(), "iou": iou})
                due = done % chosen.validate_every == 0 or done == chosen.steps
                if due:
                    iou = self._validate(head, held, device)
                    run.log(done, "validation", {"iou": iou})
                    report("validation", done, chosen.steps, {"iou": iou})
                stopped = asked() and done < chosen.steps
                if due or stopped:
                    tensors = {name: part.state_dict() for name, part in parts.items()}
                    run.save(done, tensors, {"iou": iou})
                if stopped:
                    raise RunInterrupted(done)
        head.eval()
        return iou

    @torch.no_grad()
    def _validate(
        self, head: SalienceHead, held: list[SceneFeatures], device: torch.device
    ) -> float:
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


def _prepared(cache: FeatureCache, scene: Scene) -> SceneFeatures:
    image = torch.from_numpy(scene.image).permute(2, 0, 1)
    found = cache.features(image)
    truth = torch.from_numpy(scene.truth)[None, None]
    cell = truth.shape[-1] // (2 * found.embedding.shape[-1])
    shares = [
        F.avg_pool2d((truth == value).float(), cell)[0].half() for value in (FOREGROUND, BACKGROUND)
    ]
    return SceneFeatures(found.embedding.half(), *shares)


def _batch(
    items: Sequence[SceneFeatures], mirror: bool, device: torch.device
) -> tuple[Tensor, ...]:
    """Embeddings, foreground and background of several scenes, float32 on the device."""

    def joined(parts: list[Tensor]) -> Tensor:
        whole = torch.cat(parts).to(device).float()
        return whole.flip(-1) if mirror else whole

    return (
        joined([one.embedding for one in items]),
        joined([one.positive[None] for one in items]),
        joined([one.negative[None] for one in items]),
    )
