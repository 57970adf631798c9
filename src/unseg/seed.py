"""The one place that seeds randomness."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and return a fresh torch generator with the same seed.

    Args:
        seed: any integer in 0..2**32-1.

    Returns:
        A CPU generator; code that must not depend on call order elsewhere draws from it.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
