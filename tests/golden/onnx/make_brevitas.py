"""Train the networks of brevitas_*.onnx on the package's digits and export them as QONNX.

python tests/golden/onnx/make_brevitas.py      brevitas, onnx, onnxscript, onnxoptimizer, qonnx
"""

import torch
from brevitas import nn as qnn
from brevitas.export import export_qonnx
from brevitas.quant import (
    SignedBinaryActPerTensorConst,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
)
from torch import nn

from tests.golden.onnx.make_torch import HERE, train

ONE_BIT = {"bias": False, "weight_quant": SignedBinaryWeightPerTensorConst}
TERNARY = {"bias": False, "weight_quant": SignedTernaryWeightPerTensorConst}


def relu() -> nn.Module:
    return nn.Sequential(
        qnn.QuantConv2d(1, 8, 3, **ONE_BIT),
        nn.BatchNorm2d(8),
        qnn.QuantReLU(bit_width=7),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(8, 16, 3, padding=1, **TERNARY),
        nn.BatchNorm2d(16),
        qnn.QuantReLU(bit_width=4),
        nn.Flatten(),
        qnn.QuantLinear(16 * 9, 10, **ONE_BIT),
        nn.BatchNorm1d(10),
    )


def sign() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        qnn.QuantLinear(64, 32, **ONE_BIT),
        nn.BatchNorm1d(32),
        qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst),
        qnn.QuantLinear(32, 10, **ONE_BIT),
        nn.BatchNorm1d(10),
    )


def main() -> None:
    for name, make in (("relu", relu), ("sign", sign)):
        torch.manual_seed(1)
        network = make()
        accuracy = train(network)
        path = HERE / f"brevitas_{name}.onnx"
        export_qonnx(network, torch.zeros(1, 1, 8, 8), str(path))
        # left behind by an inner step, and read by nobody
        path.with_suffix(".onnx.data").unlink(missing_ok=True)
        print(f"{path.name}: accuracy {accuracy:.4f}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
