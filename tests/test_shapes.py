"""Shapes in annotations are checked while the tests run, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from unseg.key import Key
from unseg.models.geometry import letterbox
from unseg.models.prompts import Prompts
from unseg.models.waves import TextureTable, turn_hues
from unseg.noise import Budget, compose, quantise
from unseg.train.losses import mask_iou

KEY = Key.of_text("a test")
IMAGE, MASK = torch.zeros(2, 3, 4, 5), torch.zeros(2, 1, 4, 5)


def test_what_fits_passes() -> None:
    assert compose(IMAGE, IMAGE, MASK, Budget(8, 2)).shape == IMAGE.shape


@pytest.mark.parametrize(
    "call",
    [
        lambda: compose(IMAGE, IMAGE, MASK[:1], Budget()),
        lambda: compose(IMAGE, IMAGE, IMAGE, Budget()),
        lambda: compose(IMAGE, IMAGE, MASK.bool(), Budget()),
        lambda: compose(IMAGE, IMAGE[..., :1], MASK, Budget()),
        lambda: quantise(IMAGE, IMAGE[:, :1], MASK, Budget()),
        lambda: letterbox(IMAGE[0], 64),
        lambda: letterbox(IMAGE.permute(0, 2, 3, 1), 64),
        lambda: TextureTable(torch.zeros(5, 3), torch.zeros(5, 3)).keyed(KEY, "x"),
        lambda: turn_hues(torch.zeros(5, 3), KEY, "x"),
        lambda: mask_iou(MASK, IMAGE),
        lambda: Prompts(points=torch.zeros(1, 1, 4, 2), labels=torch.zeros(1, 1, 3)),
    ],
)
def test_a_wrong_shape_or_type_is_caught(call) -> None:
    with pytest.raises(TypeCheckError):
        call()


def test_users_pay_nothing_for_the_check() -> None:
    code = (
        "import sys, unseg.noise;"
        "sys.exit('beartype' in sys.modules or hasattr(unseg.noise.compose, '__wrapped__'))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
