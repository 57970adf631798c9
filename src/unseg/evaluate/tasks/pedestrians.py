"""What the tasks on Penn-Fudan's pedestrians share: photographs in COCO's layout."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from unseg.data.formats import Reading
from unseg.errors import UnsegError
from unseg.evaluate.samples import Sample, Split
from unseg.evaluate.tasks.base import Part, Task, hold_out
from unseg.provenance import sha256_files


class PedestriansTask(Task):
    """Hook: :meth:`read`; what is protected are the people, all together."""

    folder = "pennfudan"

    @abstractmethod
    def read(self, root: Path, part: str) -> Reading:
        """Find the part ``train`` or ``test``."""

    def load(self, root: Path, part: Part = "test") -> Split:
        train = self._checked(root, "train")
        if part == "val":
            kept, held = hold_out(train.samples)
            return Split(_held(kept), _held(held), sha256_files(train.files))
        test = self._checked(root, "test")
        files = sha256_files([*train.files, *test.files])
        return Split(_held(train.samples), _held(test.samples), files)

    def _checked(self, root: Path, part: str) -> Reading:
        found = self.read(root, part)
        if (found.classes, found.things) != (self.problem.classes, self.problem.things):
            raise UnsegError(
                f"{found.files[0]} has the classes {', '.join(found.classes)}, things "
                f"{sorted(found.things)}: the task {self.name} expects "
                f"{', '.join(self.problem.classes)}, things {sorted(self.problem.things)}"
            )
        return found


def _held(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """In memory, and with the mask of the objects alone."""
    return tuple(_protecting_objects(sample) for sample in samples)


def _protecting_objects(sample: Sample) -> Sample:
    assert sample.instances is not None
    return replace(sample, mask=sample.instances > 0)
