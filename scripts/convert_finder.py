"""Convert the two networks of ``--find people`` from MediaPipe's TFLite files to safetensors.

    npm pack @mediapipe/objectron@0.4.1675468480 @mediapipe/selfie_segmentation@0.1.1675465747
    pip install tflite==2.18.0
    python scripts/convert_finder.py mediapipe-objectron-*.tgz mediapipe-selfie_segmentation-*.tgz \
        -o src/unseg/assets/finder-1.safetensors

Both packages are under the Apache License 2.0. Nothing is computed: half-precision weights are
renamed, and their axes are put in torch's order.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import tflite
import torch
from torch import Tensor, nn

from unseg.models.finder.detector import INPUT as DETECTOR_INPUT
from unseg.models.finder.detector import Detector
from unseg.models.finder.selfie import INPUT as SELFIE_INPUT
from unseg.models.finder.selfie import SelfieModel
from unseg.models.finder.weights import FORMAT
from unseg.models.weights.io import save_tensors

#: Where the packed assets of Objectron's package keep the detector.
PACKED, INSIDE = "objectron_solution_packed_assets", "object_detection_ssd_mobilenetv2_oidv4_fp16"
SELFIE = "package/selfie_segmentation.tflite"


def main() -> None:
    """Read both packages, write one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("objectron", type=Path)
    parser.add_argument("selfie", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    graphs = {"detector": packed(given.objectron), "selfie": member(given.selfie, SELFIE)}
    detector = named(Detector(), graphs["detector"], DETECTOR_INPUT)
    selfie = named(SelfieModel(), graphs["selfie"], SELFIE_INPUT)
    state = {f"detector.{name}": value for name, value in detector.items()}
    state |= {f"selfie.{name}": value for name, value in selfie.items()}
    source = {
        "detector": {"package": "npm @mediapipe/objectron 0.4.1675468480", "licence": "Apache-2.0"},
        "selfie": {
            "package": "npm @mediapipe/selfie_segmentation 0.1.1675465747", "licence": "Apache-2.0",
        },
    }  # fmt: skip
    for part, data in graphs.items():
        source[part]["sha256"] = hashlib.sha256(data).hexdigest()
    facts = {"format": FORMAT, "source": json.dumps(source, sort_keys=True)}
    save_tensors(state, given.output, facts, overwrite=True)


def member(package: Path, name: str) -> bytes:
    """A file of an npm package."""
    with tarfile.open(package) as archive:
        stream = archive.extractfile(name)
        assert stream is not None
        return stream.read()


def packed(package: Path) -> bytes:
    """The detector, which the package keeps with other assets in one file."""
    loader = member(package, f"package/{PACKED}_loader.js").decode()
    data = member(package, f"package/{PACKED}.data")
    start = loader.index('{"files":') if '{"files":' in loader else loader.index('"files": [')
    listed, _ = json.JSONDecoder().raw_decode(loader[loader.index("[", start) :])
    place = next(one for one in listed if INSIDE in one["filename"])
    return data[place["start"] : place["end"]]


def named(model: nn.Module, graph: bytes, size: int) -> dict[str, Tensor]:
    """Weights of a graph under the names of a module that runs its layers in the same order."""
    order: list[str] = []
    for name, part in model.named_modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.register_forward_hook(lambda *_, name=name: order.append(name))
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    wanted, state = model.state_dict(), {}
    for name, (weight, bias) in zip(order, layers(graph), strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
        assert weight.shape == wanted[f"{name}.weight"].shape, (name, weight.shape)
    assert state.keys() == wanted.keys()
    return state


def layers(data: bytes) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every layer, in the order in which the graph runs them."""
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    halves: dict[int, int] = {}
    found = []
    for number in range(graph.OperatorsLength()):
        step = graph.Operators(number)
        kind = model.OperatorCodes(step.OpcodeIndex())
        code = max(kind.BuiltinCode(), kind.DeprecatedBuiltinCode())
        if code == tflite.BuiltinOperator.DEQUANTIZE:
            halves[step.Outputs(0)] = step.Inputs(0)
            continue
        deep = code == tflite.BuiltinOperator.DEPTHWISE_CONV_2D
        own = code == tflite.BuiltinOperator.CUSTOM  # a transposed convolution with a bias
        if not (deep or own or code == tflite.BuiltinOperator.CONV_2D):
            continue
        weight, bias = (values(model, graph, halves.get(i, i)) for i in step.InputsAsNumpy()[1:3])
        if own:  # (out, h, w, in) -> (in, out, h, w)
            weight = weight.transpose(3, 0, 1, 2)
        else:  # (out, h, w, in), and for depthwise (1, h, w, out), -> (out, in, h, w)
            weight = weight.transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
        found.append((torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())))
    return found


def values(model: tflite.Model, graph: tflite.SubGraph, index: int) -> np.ndarray:
    """A tensor of the graph in half precision, as it is stored."""
    tensor = graph.Tensors(index)
    assert tensor.Type() == tflite.TensorType.FLOAT16, tensor.Name()
    raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
    return np.frombuffer(raw, np.float16).reshape(tensor.ShapeAsNumpy())


if __name__ == "__main__":
    main()
