"""Train the networks of torch_*.onnx on the package's digits and export them, with both of PyTorch's exporters.

    python tests/golden/onnx/make_torch.py      torch, onnx, onnxscript

The hashes that importing them must give are in hashes.json; run `python -m tests.golden.onnx.hashes` after this.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from signbit.bridge.torch import BinaryConv1d, BinaryConv2d, BinaryLinear, BinarySign, QuantReLU
from signbit.qmodel.data.named import load_digits

HERE = Path(__file__).parent
EPOCHS, BATCH = 6, 50


class Plain(nn.Module):
    """No layer of signbit's: signs straight through, as found in many repositories."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(24, 64) * 0.2)
        self.last = nn.Parameter(torch.randn(10, 24) * 0.2)
        self.norm, self.scale = nn.BatchNorm1d(24), nn.BatchNorm1d(10)

    def forward(self, x):
        x = functional.linear(x.flatten(1), self.signs(self.first))
        x = self.norm(x)
        # the value of a hard sign, the gradient of a clamp
        soft, hard = x.clamp(-1, 1), torch.where(x >= 0, 1.0, -1.0)
        x = hard.detach() + soft - soft.detach() if self.training else hard
        return self.scale(functional.linear(x, self.signs(self.last)))

    def signs(self, latent):
        hard = torch.where(latent >= 0, 1.0, -1.0) * latent.abs().mean(dim=1, keepdim=True)
        return hard.detach() + latent - latent.detach() if self.training else hard


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(BinaryConv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), QuantReLU(), nn.MaxPool2d(2))
        self.branch = nn.Sequential(BinaryConv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), QuantReLU())
        self.down = nn.Sequential(BinaryConv2d(8, 12, 3), nn.BatchNorm2d(12), QuantReLU(15))
        self.head = nn.Sequential(nn.Flatten(), BinaryLinear(12 * 4, 10), nn.BatchNorm1d(10))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.down(x + self.branch(x)))


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(BinaryConv2d(1, 8, 3), nn.BatchNorm2d(8), BinarySign())
        self.branch = nn.Sequential(
            BinaryConv2d(8, 8, 3, padding=1, padding_value=-1.0), nn.BatchNorm2d(8), BinarySign()
        )
        self.head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), BinaryLinear(16 * 9, 10), nn.BatchNorm1d(10))

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.cat([x, self.branch(x)], dim=1))


class Rows(nn.Module):
    """The rows of an image as steps of time, its columns as channels."""

    def forward(self, x):
        return x.squeeze(1).transpose(1, 2)


def signal() -> nn.Module:
    return nn.Sequential(
        Rows(),
        BinaryConv1d(8, 16, 3, padding=1),
        nn.BatchNorm1d(16),
        QuantReLU(),
        nn.MaxPool1d(2),
        BinaryConv1d(16, 16, 3, groups=16),
        nn.BatchNorm1d(16),
        QuantReLU(),
        nn.Flatten(),
        BinaryLinear(32, 10),
        nn.BatchNorm1d(10),
    )


def train(network: nn.Module) -> float:
    """Accuracy on the test part."""
    data = load_digits()
    x = {part: torch.tensor(getattr(data, part).x.reshape(-1, 1, 8, 8) / np.float32(255)) for part in ("train", "test")}
    y = {part: torch.tensor(getattr(data, part).y) for part in ("train", "test")}
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    network.train()
    for _ in range(EPOCHS):
        for some in torch.randperm(len(x["train"])).split(BATCH):
            loss = functional.cross_entropy(network(x["train"][some]), y["train"][some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        return float((network(x["test"]).argmax(1) == y["test"]).float().mean())


def main() -> None:
    for name, network, dynamo in (
        ("plain", Plain(), False),
        ("residual", Residual(), False),
        ("joined", Joined(), True),
        ("signal", signal(), True),
    ):
        torch.manual_seed(1)
        accuracy = train(network)
        path = HERE / f"torch_{name}.onnx"
        sample = (torch.zeros(1, 1, 8, 8),)
        more = {"external_data": False} if dynamo else {}
        torch.onnx.export(network, sample, str(path), dynamo=dynamo, opset_version=18 if dynamo else 17, **more)
        print(f"{path.name}: accuracy {accuracy:.4f}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
