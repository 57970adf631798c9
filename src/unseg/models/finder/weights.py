"""The weights of the detector and of the person model, which ship with the package."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from unseg.errors import UnsegError
from unseg.models.finder.detector import Detector
from unseg.models.finder.selfie import SelfieModel
from unseg.models.weights.io import read_tensors
from unseg.provenance import sha256_file

FORMAT = "unseg-finder-1"
SHIPPED = "finder-1"
"""Name of the weights that ship with the package."""
REMEDY = "its weights are part of unseg, so install it again"


@lru_cache(maxsize=2)
def load_finder(device: str = "cpu") -> tuple[Detector, SelfieModel, str]:
    """Both networks in evaluation mode, in float32, frozen, and the sha256 of their file.

    Args:
        device: a torch device.

    Raises:
        UnsegError: when the file is missing or damaged.
    """
    path = Path(str(resources.files("unseg") / "assets" / f"{SHIPPED}.safetensors"))
    tensors, found = read_tensors(path, REMEDY)
    if found.get("format") != FORMAT:
        raise UnsegError(f"{path} is not an {FORMAT} file: {REMEDY}")
    detector, selfie = Detector(), SelfieModel()
    for name, model in (("detector", detector), ("selfie", selfie)):
        start = f"{name}."
        own = {k.removeprefix(start): v.float() for k, v in tensors.items() if k.startswith(start)}
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise UnsegError(f"{path} does not fit the networks it is for: {REMEDY}") from error
        model.requires_grad_(False).eval().to(device)
    return detector, selfie, sha256_file(path)
