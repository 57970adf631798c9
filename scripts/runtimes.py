"""What other runtimes and number formats do to the network's time and to the noise, by measurement.

    pip install onnxruntime openvino
    python scripts/runtimes.py -o docs/runtimes.json
    unseg benchmark --from docs/performance.json --runtimes docs/runtimes.json \
        --markdown docs/performance.md

Every runtime takes turns with plain float32 in torch on the same image, so that a busy machine
disturbs both alike; seconds of processor are shown beside those that went by. What fails is part of
the record. The noise is compared with float32's inside the mask: share of equal signs.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unseg.key import Key
from unseg.models.export import OnnxGenerator, agreement, export_onnx
from unseg.models.generator import NoiseGenerator
from unseg.models.registry import load_generator
from unseg.protect.drawn import figure
from unseg.provenance import provenance

Noise = Callable[[], Tensor]
Maker = Callable[[NoiseGenerator, Tensor, Tensor, Path, int], Noise]


def of_torch(generator: NoiseGenerator, image: Tensor, masks: Tensor) -> Noise:
    def run() -> Tensor:
        with torch.inference_mode():
            return generator.noise(image, masks)

    return run


def plain(generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int) -> Noise:
    return of_torch(generator, image, masks)


def channels_last(
    generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int
) -> Noise:
    return of_torch(generator.to(memory_format=torch.channels_last), image, masks)  # type: ignore[call-overload]


def bfloat16(
    generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int
) -> Noise:
    run = of_torch(generator, image, masks)

    def cast() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run().float()

    return cast


def compiled(
    generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int
) -> Noise:
    generator.base.encoder = torch.compile(generator.base.encoder)  # type: ignore[assignment]
    return of_torch(generator, image, masks)


def int8(generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int) -> Noise:
    from torch.ao.quantization import quantize_dynamic

    made = quantize_dynamic(generator, {torch.nn.Linear}, dtype=torch.qint8)
    return of_torch(made, image, masks)


def onnx(generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int) -> Noise:
    model = OnnxGenerator(folder / "generator.onnx", generator.key, threads=n)
    return lambda: model.noise(image, masks)


def onnx_int8(
    generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int
) -> Noise:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = folder / "int8.onnx"
    if not small.exists():
        quantize_dynamic(
            folder / "generator.onnx", small, weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )  # fmt: skip
    model = OnnxGenerator(small, generator.key, threads=n)
    return lambda: model.noise(image, masks)


class _OpenVino:
    """OpenVINO behind the one method of onnxruntime's session that is used."""

    def __init__(self, path: Path, threads: int, precision: str) -> None:
        import openvino

        core = openvino.Core()
        self.model = core.compile_model(
            core.read_model(path), "CPU",
            {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision,
             "PERFORMANCE_HINT": "LATENCY"},
        )  # fmt: skip

    def run(self, names: list[str], given: dict[str, Any]) -> list[Any]:
        found = self.model(given)
        return [found[name].copy() for name in names]


def openvino(precision: str) -> Maker:
    def make(
        generator: NoiseGenerator, image: Tensor, masks: Tensor, folder: Path, n: int
    ) -> Noise:
        model = OnnxGenerator(folder / "generator.onnx", generator.key)
        model.session = _OpenVino(folder / "generator.onnx", n, precision)
        return lambda: model.noise(image, masks)

    return make


RUNTIMES: dict[str, Maker] = {
    "torch, channels last": channels_last,
    "torch, bfloat16 (autocast)": bfloat16,
    "torch.compile of the encoder": compiled,
    "torch, int8 (dynamic, linear layers)": int8,
    "onnxruntime, float32": onnx,
    "onnxruntime, int8 (dynamic)": onnx_int8,
    "OpenVINO, float32": openvino("f32"),
    "OpenVINO, bfloat16": openvino("bf16"),
}


PACKAGES = ("onnxruntime", "openvino")


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def taken(run: Noise) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(make: Maker, repeats: int, threads: int, folder: Path) -> dict[str, Any]:
    """Times of a runtime and of float32 in torch in turns, and how far the noises agree."""
    torch.set_num_threads(threads)
    pixels, found = figure(1024, 768)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    masks = torch.from_numpy(found)[None]
    generator = load_generator()
    generator.key = Key.of_text("a trial")
    base = of_torch(generator, image, masks)
    expected = base().clone()
    started = time.perf_counter()
    other = make(copy.deepcopy(generator), image, masks, folder, threads)
    made = other()
    first = time.perf_counter() - started
    same, apart = agreement(expected, made, masks)
    pairs = [(taken(other), taken(base)) for _ in range(repeats)]
    ours, plainly = ([one[i] for one in pairs] for i in (0, 1))
    median = statistics.median
    return {
        "seconds": median(one[0] for one in ours), "cpu": median(one[1] for one in ours),
        "float32_seconds": median(one[0] for one in plainly),
        "float32_cpu": median(one[1] for one in plainly),
        "same_sign": same, "apart": apart, "first_seconds": first,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, such as 1,2")
    parser.add_argument("--only", default="", help="runtimes whose name has this in it")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    run = {
        **provenance(seed=0), "load": os.getloadavg()[0], "repeats": chosen.repeats, "rows": rows,
        "packages": {name: found for name in PACKAGES if (found := version_of(name))},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        export_onnx(load_generator(), folder / "generator.onnx")
        for threads in map(int, chosen.threads.split(",")):
            for name, make in RUNTIMES.items():
                if chosen.only not in name:
                    continue
                row: dict[str, Any] = {"runtime": name, "threads": threads}
                try:
                    row |= measure(make, chosen.repeats, threads, folder)
                except Exception as error:  # what fails is a result, too
                    row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                print(json.dumps(row), flush=True)  # noqa: T201
                rows.append(row)
                chosen.output.write_text(json.dumps(run, indent=1) + "\n")  # stopped, it keeps that


if __name__ == "__main__":
    main()
