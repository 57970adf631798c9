"""Small tensors that every batch needs, copied to a device once."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(1, n, 1, 1) float, one value a channel; never changed in place.

    A copy to a GPU waits for all that is queued there, so it is made once and not in every step.
    """
    return torch.tensor(values, device=device).view(1, -1, 1, 1)
