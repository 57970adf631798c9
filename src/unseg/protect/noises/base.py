"""What every noise source does: make noise for what it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor

from unseg.models.loaded import Models
from unseg.protect.view import View


class NoiseSource(ABC):
    """One file a source. Hooks: :meth:`suits` and :meth:`fields`.

    Sources are asked in order, and the first that suits an image makes its noise.
    """

    name: ClassVar[str]
    """Short name, written into records."""
    summary: ClassVar[str]
    """One line for ``--help`` and the documentation."""
    model_id: str = ""
    """Name of the weights, for records; empty for noise that nothing was trained for."""
    sha256: str = ""
    """Hex checksum of the weights; empty for none."""

    @classmethod
    def load(cls, models: Models) -> Self:
        """The source with the models of a run; by default it needs none."""
        return cls()

    @classmethod
    def of(cls, model: Any) -> Self:
        """The source around a generator that is in memory; by default it needs none."""
        return cls()

    def suits(self, view: View) -> bool:
        """Whether this source is for images of this kind; by default for all."""
        return True

    @abstractmethod
    def fields(self, views: Sequence[View]) -> list[Tensor]:
        """Noise for several images, of different sizes.

        Region r's pixels get the noise that region r asks for, all others that of the union.

        Returns:
            (3, h, w) each, float, in [-1, 1], on the CPU.
        """


def without_colour(field: Tensor) -> Tensor:
    """Noise of three equal channels, the sum of a field's own cut to [-1, 1].

    The mean would leave a third of a coloured texture's strength.

    Args:
        field: (3, h, w), float, in [-1, 1].
    """
    return field.sum(dim=0, keepdim=True).clamp(-1, 1).expand(3, -1, -1).clone()
