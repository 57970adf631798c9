"""The generator as an ONNX file: what is network goes into it, the waves are drawn outside.

The file holds encoder, decoder and head, and says of an image and a mask which texture every cell
gets and in which colour. Phases, directions, periods and hues follow from the owner's key, which is
never written into it: :class:`OnnxGenerator` draws with a key of its own, as
:class:`~unseg.models.generator.NoiseGenerator` does.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import write_atomically
from unseg.key import Key
from unseg.models.generator import PUBLIC_KEY, WHOLE, NoiseGenerator
from unseg.models.geometry import PIXEL_MEAN, PIXEL_STD, Frame, letterbox, letterbox_mask
from unseg.models.prompts import Prompts, mask_prompt
from unseg.models.textures import BY_LOOK, TOGETHER, Codebook, TextureBank
from unseg.models.waves import Drawing, TextureTable, Window, turn_hues
from unseg.provenance import sha256_file

FORMAT = "unseg-onnx-1"
OPSET = 17
INPUTS = ("pixels", "size", "mask")
OUTPUTS = ("chosen", "hues", "looks", "mean")
_FACTS = "unseg"


class _Network(nn.Module):
    """What goes into the file."""

    mean: Tensor
    std: Tensor

    def __init__(self, generator: NoiseGenerator) -> None:
        super().__init__()
        self.generator = generator
        for name, values in (("mean", PIXEL_MEAN), ("std", PIXEL_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def forward(
        self, pixels: Tensor, size: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        generator = self.generator
        bank, codebook = generator.textures, generator.codebook
        assert bank is not None and codebook is not None
        side = torch.arange(generator.image_size, device=pixels.device)
        inside = (side[:, None] < size[0]) & (side[None] < size[1])
        normal = (pixels - self.mean) / self.std * inside.to(pixels.dtype)
        embedding, early = generator.base.encoder(normal)
        prompts = Prompts(masks=mask_prompt(mask, generator.grid))
        feature, weights = generator.read(embedding, early, prompts)
        logits = nn.functional.avg_pool2d(bank.choice(feature), TOGETHER, ceil_mode=True)
        cells = embedding.flatten(2).transpose(1, 2)
        centres = codebook.centres
        # The nearest centre: the cell's own square is the same for all of them.
        apart = centres.square().sum(1) - 2 * cells @ centres.t()
        looks = apart.argmin(-1).view(1, *embedding.shape[-2:])
        hues = torch.tanh(weights + bank.hues).transpose(1, 2)
        return logits.argmax(1), hues, looks, embedding.mean((2, 3))


def export_onnx(
    generator: NoiseGenerator, path: Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write a generator as an ONNX file, atomically; see docs/export.md for what goes in and out.

    Args:
        generator: with a bank of textures and a codebook, as those that ship. Its key stays out.
        path: a ``.onnx`` file.
        overwrite: whether a file that is there may be replaced.

    Returns:
        What the file says of itself.

    Raises:
        UnsegError: when the generator is of another kind, a package is missing, or the file cannot
            be written.
    """
    require("import", "exporting to ONNX")
    import onnx

    bank, codebook = generator.textures, generator.codebook
    if bank is None or codebook is None:
        raise UnsegError(
            f"{generator.model_id} draws no textures: expected a generator with a bank of textures "
            "and a codebook, such as the default"
        )
    if path.exists() and not overwrite:
        raise UnsegError(f"{path} exists already: use --overwrite, or choose another name")
    network = _Network(generator).eval()
    size = generator.image_size
    device = generator.noise_tokens.weight.device
    example = (
        torch.zeros(1, 3, size, size, device=device),
        torch.tensor([size, size], device=device),
        torch.zeros(1, 1, generator.grid, generator.grid, device=device),
    )
    facts = {
        "format": FORMAT,
        "model_id": generator.model_id,
        "sha256": generator.sha256,
        "image_size": size,
        "background": generator.config.background,
        "vectors": bank.vectors.tolist(),
        "codes": {"vectors": codebook.vectors.tolist(), "hues": codebook.colours.tolist()},
    }

    def write(target: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            # The tracer tells of every shape that it takes for fixed, as all here are.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, example, target, input_names=list(INPUTS), output_names=list(OUTPUTS),
                opset_version=OPSET, dynamo=False,
            )  # fmt: skip
        model = onnx.load(target)
        entry = model.metadata_props.add()
        entry.key, entry.value = _FACTS, json.dumps(facts)
        onnx.checker.check_model(model)
        onnx.save(model, target)

    write_atomically(path, write)
    return facts


class OnnxGenerator:
    """A generator in an ONNX file, run by onnxruntime on the CPU.

    It makes the noise that the generator makes of which it was exported, and stands wherever a
    model does: ``Protector([GeneratorNoise(OnnxGenerator(path, key))])``.

    Args:
        path: written by :func:`export_onnx`.
        key: the owner's; None is the public one.
        threads: that onnxruntime may use; 0 leaves it the choice.

    Raises:
        UnsegError: when onnxruntime is missing, or the file is none.
    """

    def __init__(self, path: Path, key: Key | None = None, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UnsegError(
                f"running {path} needs onnxruntime, which is not installed: pip install onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            facts = json.loads(self.session.get_modelmeta().custom_metadata_map[_FACTS])
            known = facts["format"] == FORMAT
        except Exception as error:  # onnxruntime raises classes of its own for what it cannot read
            raise UnsegError(
                f"{path} cannot be read: expected a file written by unseg export --onnx"
            ) from error
        if not known:
            raise UnsegError(f"{path} has format {facts['format']}, expected {FORMAT}: export anew")
        self.model_id, self.sha256 = f"{facts['model_id']} (ONNX)", sha256_file(path)
        self.image_size, self.background = int(facts["image_size"]), bool(facts["background"])
        self.key = PUBLIC_KEY if key is None else key
        self._bank = torch.tensor(facts["vectors"])
        self._codes = TextureTable(
            torch.tensor(facts["codes"]["vectors"]), torch.tensor(facts["codes"]["hues"])
        )

    @property
    def grid(self) -> int:
        """Side of the mask that the network is shown, and of the grid of cells."""
        return self.image_size // 4

    @torch.no_grad()
    def noise(
        self,
        image: Float[Tensor, "3 _h _w"],
        masks: Bool[Tensor, "n _h _w"],
        codes: Sequence[int] | None = None,
    ) -> Float[Tensor, "n 3 _h _w"]:
        """Noise for one image; see :meth:`unseg.models.generator.NoiseGenerator.noise`."""
        frame = Frame(image.shape[-2], image.shape[-1], self.image_size)
        pixels = letterbox(image[None].float(), self.image_size)[0]
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
        grid_masks = letterbox_mask(masks[:, None].float(), self.image_size, self.grid)
        given = {
            "pixels": (pixels * std + mean).numpy(),
            "size": np.array(frame.scaled, np.int64),
        }
        made = []
        for number, mask in enumerate(grid_masks):
            code = 0 if codes is None else codes[number]
            if code == 0 and float(masks[number].float().mean()) >= WHOLE:
                code = BY_LOOK
            found = self.session.run(list(OUTPUTS), {**given, "mask": mask[None].numpy()})
            drawing = self._drawing(
                dict(zip(OUTPUTS, map(torch.from_numpy, found), strict=True)), code
            )
            noise = drawing.paint(0, Window.whole(*image.shape[-2:]))
            made.append(noise if self.background else noise * masks[number].to(noise))
        return torch.stack(made)

    def _drawing(self, found: dict[str, Tensor], code: int) -> Drawing:
        """What the network said, with the key's phases, directions, periods and hues."""
        if code == 0:
            label, table = TextureBank.LABEL, TextureTable(self._bank, self._bank[:, 0, :0])
            entries = _enlarged(found["chosen"], TOGETHER, self.grid)
            hues = found["hues"]
        else:
            label, table = Codebook.LABEL, self._codes
            hues = table.hues[None]
            if code == BY_LOOK:
                entries = _enlarged(
                    found["looks"], self.grid // found["looks"].shape[-1], self.grid
                )
            else:
                entries = torch.full((1, self.grid, self.grid), (code - 1) % len(table.vectors))
        count = len(table.vectors)
        return Drawing(
            nn.functional.one_hot(entries, count).permute(0, 3, 1, 2).float(),
            table.keyed(self.key, label).vectors,
            table.phases(found["mean"][:, :, None, None], self.key, label),
            turn_hues(hues.float(), self.key, label),
        )


def _enlarged(
    entries: Int[Tensor, "1 h w"], factor: int, side: int
) -> Int[Tensor, "1 {side} {side}"]:
    wide = entries.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return wide[:, :side, :side]


def agreement(
    one: Float[Tensor, "n 3 h w"], other: Float[Tensor, "n 3 h w"], masks: Bool[Tensor, "n h w"]
) -> tuple[float, float]:
    """How far two noises agree where there is a mask.

    Returns:
        Share of the values with equal signs, and the mean absolute difference.
    """
    here = masks[:, None].expand_as(one)
    a, b = one[here], other[here]
    return float((a.sign() == b.sign()).float().mean()), float((a - b).abs().mean())


def compared(generator: NoiseGenerator, path: Path) -> tuple[float, float]:
    """Run an exported file on a drawn image, and compare with its generator.

    Returns:
        See :func:`agreement`.
    """
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 12, 16, generator=rng) * 255
    image = nn.functional.interpolate(coarse, (384, 512), mode="bicubic")[0].clamp(0, 255)
    masks = torch.zeros(1, 384, 512, dtype=torch.bool)
    masks[:, 90:300, 120:400] = True
    file = OnnxGenerator(path, generator.key)
    return agreement(generator.noise(image, masks).cpu(), file.noise(image, masks), masks)
