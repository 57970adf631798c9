"""What every victim does: learn from samples, then predict clean photographs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unseg.evaluate.samples import Sample
from unseg.evaluate.settings import Configured

Progress = Callable[[float], None]
"""Called with the share of the training that is done, 0..1."""


class Victim(Configured):
    """One file a victim. Hooks: :meth:`fit` and :meth:`predict`.

    A victim reads photographs at their original resolution and resizes and augments them itself,
    as a real trainer's loader does. It is trained from the seed alone: same seed and samples, same
    weights on the same number of threads.
    """

    @abstractmethod
    def fit(self, samples: Sequence[Sample], seed: int, progress: Progress) -> list[float]:
        """Train from scratch.

        Returns:
            Loss, averaged over each tenth of the schedule.
        """

    @abstractmethod
    def predict(self, image: NDArray[np.uint8]) -> Tensor:
        """Foreground logits (H, W) at the photograph's own size, for (H, W, 3) uint8."""
