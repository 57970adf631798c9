"""SamBase at any input size, for both encoders, without any weights from outside."""

from __future__ import annotations

import pytest
import torch

from unseg.errors import UnsegError
from unseg.models.sam.base import Architecture, Features, SamBase, architecture
from unseg.models.sam.tinyvit import TinyVitConfig, bias_index
from unseg.models.sam.vit import VitConfig

TINY = Architecture("mobile_sam", TinyVitConfig((8, 32, 32, 64), (1, 1, 1, 1), (1, 1, 1, 2)))
VIT = Architecture("vit_b", VitConfig(32, 3, 2, 64, window=3, global_layers=(1,)))
DESIGNS = pytest.mark.parametrize("design", [TINY, VIT], ids=lambda d: d.name)


@DESIGNS
@pytest.mark.parametrize("size", [64, 128])
def test_features_and_masks_have_the_promised_shapes(design: Architecture, size: int) -> None:
    base = SamBase(design, size).eval()
    grid = size // 16
    with torch.no_grad():
        features = base.encode(torch.randn(2, 3, size, size))
        points = torch.rand(2, 5, 3, 2) * size
        labels = torch.ones(2, 5, 3)
        logits, iou = base.predict_masks(features, points, labels, multimask=True)
    early = size // base.early_stride
    assert features.embedding.shape == (2, 256, grid, grid)
    assert features.early.shape == (2, base.early_channels, early, early)
    assert logits.shape == (2, 5, 3, 4 * grid, 4 * grid)
    assert iou.shape == (2, 5, 3)


@DESIGNS
def test_gradients_flow_to_the_pixels(design: Architecture) -> None:
    base = SamBase(design, 64).requires_grad_(False).eval()
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    features = base.encode(pixels)
    logits, _ = base.predict_masks(features, masks=torch.ones(1, 1, 16, 16))
    logits.square().sum().backward()
    assert pixels.grad is not None
    assert torch.isfinite(pixels.grad).all() and float(pixels.grad.abs().max()) > 0


@pytest.fixture(scope="module")
def small() -> tuple[SamBase, Features]:
    torch.manual_seed(0)
    base = SamBase(TINY, 64).eval()
    with torch.no_grad():
        return base, base.encode(torch.randn(2, 3, 64, 64))


def test_many_mask_prompts_equal_one_at_a_time(small: tuple[SamBase, Features]) -> None:
    base, features = small
    masks = torch.randn(2, 3, 16, 16)
    boxes = torch.tensor([4.0, 8, 40, 50]).expand(2, 3, 4)
    with torch.no_grad():
        together, _ = base.predict_masks(features, boxes=boxes, masks=masks)
        for image in range(2):
            one = Features(*(f[image : image + 1] for f in (features.embedding, features.early)))
            for prompt in range(3):
                alone, _ = base.predict_masks(
                    one, boxes=boxes[:1, :1], masks=masks[image, prompt].expand(1, 1, 16, 16)
                )
                torch.testing.assert_close(alone[0, 0], together[image, prompt])


def test_position_encoding_and_prompts_follow_the_image_size() -> None:
    """A point in the middle of a cell must get the code that the dense encoding gives the cell."""
    for size in (64, 128):
        base = SamBase(TINY, size)
        centre = torch.tensor([[[[24.0 - 0.5, 40.0 - 0.5]]]])
        with torch.no_grad():
            code = base.prompt_encoder.shared_embedding((centre + 0.5) / size)[0, 0, 0]
            torch.testing.assert_close(code, base.dense_pe(base.grid)[0, :, 2, 1])


def test_at_size_shares_the_weights(small: tuple[SamBase, Features]) -> None:
    base, _ = small
    larger = base.at_size(128)
    fresh = SamBase(TINY, 128).eval()
    fresh.load_state_dict(base.state_dict())
    pixels, box = torch.randn(1, 3, 128, 128), torch.tensor([[[10.0, 20, 90, 100]]])
    with torch.no_grad():
        ours, theirs = (m.predict_masks(m.encode(pixels), boxes=box) for m in (larger, fresh))
    torch.testing.assert_close(ours[0], theirs[0])
    assert base.image_size == 64 and base.prompt_encoder.input_image_size == 64
    assert next(larger.encoder.parameters()) is next(base.encoder.parameters())
    with pytest.raises(UnsegError, match="load it again with image_size=128"):
        SamBase(VIT, 64).at_size(128)


def test_wrong_use_is_explained(small: tuple[SamBase, Features]) -> None:
    base, features = small
    with pytest.raises(UnsegError, match="choose a multiple of 64"):
        SamBase(TINY, 100)
    with pytest.raises(UnsegError, match="choose one of"):
        architecture("resnet")
    with pytest.raises(UnsegError, match="import the weights again"):
        Architecture.from_json('{"name": "resnet", "encoder": {}}')
    with pytest.raises(ValueError, match=r"expected \(B, 3, 64, 64\)"):
        base.encode(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="no prompt"):
        base.predict_masks(features)
    with pytest.raises(ValueError, match="without labels"):
        base.predict_masks(features, points=torch.zeros(2, 1, 1, 2))


@DESIGNS
def test_a_design_survives_json(design: Architecture) -> None:
    assert Architecture.from_json(design.to_json()) == design


def test_the_published_shapes() -> None:
    """Parameter counts of MobileSAM's encoder and of SAM's prompt encoder and decoder."""
    base = SamBase(architecture("mobile_sam"), 64)
    count = {
        name: sum(p.numel() for p in part.parameters()) for name, part in base.named_children()
    }
    assert count["encoder"] == 5_738_964
    assert count["prompt_encoder"] + count["mask_decoder"] == 4_064_816


def test_bias_index_depends_on_the_offset_only() -> None:
    index = bias_index(3)
    assert index[0].tolist() == list(range(9))
    assert torch.equal(index, index.t())
    assert index[4, 8] == index[0, 4]  # both are one down, one right
