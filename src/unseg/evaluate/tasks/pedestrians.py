"""What the tasks on Penn-Fudan's pedestrians share: photographs in COCO's layout."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unseg.datasets import Reading
from unseg.datasets.samples import Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.tasks.base import Part, Task, hold_out
from unseg.provenance import sha256_files


class PedestriansTask(Task):
    """Hooks: :meth:`read`, and :meth:`mask`: by default the people, all together, are protected."""

    folder = "pennfudan"

    @abstractmethod
    def read(self, root: Path, part: str) -> Reading:
        """Find the part ``train`` or ``test``."""

    def load(self, root: Path, part: Part = "test") -> Split:
        train = self._checked(root, "train")
        if part == "val":
            kept, held = hold_out(train.samples)
            return Split(self._held(kept), self._held(held), sha256_files(train.files))
        test = self._checked(root, "test")
        files = sha256_files([*train.files, *test.files])
        return Split(self._held(train.samples), self._held(test.samples), files)

    def mask(self, sample: Sample) -> NDArray[np.bool_]:
        """(H, W) bool, what a condition protects in an image."""
        assert sample.instances is not None
        return sample.instances > 0

    def _checked(self, root: Path, part: str) -> Reading:
        found = self.read(root, part)
        if (found.classes, found.things) != (self.problem.classes, self.problem.things):
            raise UnsegError(
                f"{found.files[0]} has the classes {', '.join(found.classes)}, things "
                f"{sorted(found.things)}: the task {self.name} expects "
                f"{', '.join(self.problem.classes)}, things {sorted(self.problem.things)}"
            )
        return found

    def _held(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        return tuple(replace(sample, mask=self.mask(sample)) for sample in samples)
