"""What every mask source does: find the foreground of one photograph, or pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from unseg.images.photo import Photo
from unseg.masks.labelmap import LabelMap
from unseg.masks.regions import LabelRules
from unseg.models.loaded import Models


@dataclass(frozen=True)
class Found:
    """What a source says of one photograph.

    Args:
        labels: of the photograph's size; without foreground there is nothing to protect.
        file: name of the file that it was read from, if any.
        file_sha256: hex checksum of that file.
        objects: how many objects there are, by the name of their class or as objects; None where
            the source does not know.
    """

    labels: LabelMap
    file: str | None = None
    file_sha256: str | None = None
    objects: dict[str, int] | None = None


class MaskSource(ABC):
    """One file a source. Hook: :meth:`find`. Sources are asked in order until one answers."""

    name: ClassVar[str]
    """Short name, written into records and used on the command line."""
    summary: ClassVar[str]
    """One line for ``--help`` and the documentation."""
    nothing: ClassVar[str]
    """What to note of an image when this source knows nothing of it."""
    given: ClassVar[bool] = False
    """Whether the owner said where the objects are: an image without any then has none to protect.
    What a model finds is only a guess, and the next source is asked."""
    exact: bool = False
    """Whether objects are named in annotations: then little or much foreground is no reason to ask
    whether the mask was read right."""

    @classmethod
    def load(cls, models: Models) -> Self | None:
        """The source as ``--find`` names it; None where it cannot be had with these models.

        Args:
            models: of the run.
        """
        raise NotImplementedError(f"{cls.__name__} cannot be used with --find")

    @abstractmethod
    def find(self, photo: Photo, name: str) -> Found | None:
        """The foreground of a photograph.

        Args:
            photo: (H, W) or (H, W, 3) pixels, as a viewer shows them.
            name: the image's name below its input folder, with ``/``; in memory any.

        Returns:
            None when this source knows nothing of the image, so that the next is asked.

        Raises:
            UnsegError: when there is something that cannot be used.
        """

    def missing(self, name: str) -> str:
        """What to note of an image of which this source knows nothing."""
        return self.nothing

    def rules(self, rules: LabelRules) -> LabelRules:
        """What the labels that :meth:`find` returns mean, given the owner's rules for labels."""
        return LabelRules(target=rules.target)

    def identity(self, name: str) -> str:
        """What an answer depends on beside the image and the generator: a checksum, or nothing.

        Args:
            name: as for :meth:`find`.
        """
        return ""
