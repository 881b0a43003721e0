"""Networks that others publish for spoken commands, as float networks for PyTorch, and their size in 8 bits.

Each takes features float32 (n, 1, bands, frames) and gives scores (n, classes).
"""

import math

import torch
from torch import nn

COEFFICIENTS = 10
"""Cepstral ones, which MLPerf's network reads."""
REQUANTIZED_BYTES = 12
"""A channel's int32 bias, multiplier and shift, as CMSIS-NN takes them; batch norm is folded into these."""
SCALAR_BYTES = 4
SUB_BANDS = 5


class DsCnn(nn.Module):
    """A convolution of 10 frames by 4 coefficients, then four depthwise-separable ones of 3 by 3.

    The cepstral coefficients are c[k] = sum over bands b of x[b] cos(pi k (b + 1/2) / bands).
    """

    def __init__(self, classes: int, bands: int, channels: int):
        super().__init__()
        band, coefficient = torch.arange(bands) + 0.5, torch.arange(COEFFICIENTS)
        cosines = torch.cos(math.pi / bands * coefficient[:, None] * band) / math.sqrt(bands)
        self.register_buffer("cosines", cosines, persistent=False)
        separable = [
            layer
            for _ in range(4)
            for layer in (
                *_normed(nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)),
                *_normed(nn.Conv2d(channels, channels, 1, bias=False)),
            )
        ]
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(1, channels, (10, 4), 2, (5, 1), bias=False)),
            nn.Dropout(0.2),
            *separable,
            nn.Dropout(0.4),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers((self.cosines @ x).transpose(2, 3))


class SubBandNorm(nn.BatchNorm2d):
    """Batch norm whose channels are those of each of SUB_BANDS equal parts of the frequencies."""

    def __init__(self, channels: int):
        super().__init__(channels * SUB_BANDS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, bands, frames = x.shape
        return super().forward(x.reshape(batch, self.num_features, bands // SUB_BANDS, frames)).reshape(x.shape)


class BroadcastBlock(nn.Module):
    """y = relu(x + f2(x) + f1(mean of f2(x) over frequency)), without x where the channels change.

    f2 is a depthwise convolution over frequency, f1 one over time, dilated, which all frequencies get.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int):
        super().__init__()
        self.is_residual = inputs == outputs
        first = [] if self.is_residual else _normed(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.over_frequency = nn.Sequential(
            *first,
            nn.Conv2d(outputs, outputs, (3, 1), (stride, 1), (1, 0), groups=outputs, bias=False),
            SubBandNorm(outputs),
        )
        self.over_time = nn.Sequential(
            nn.Conv2d(outputs, outputs, (1, 3), 1, (0, dilation), (1, dilation), groups=outputs, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.Dropout2d(0.1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.over_frequency(x)
        y = wide + self.over_time(wide.mean(2, keepdim=True))
        return torch.relu(y + x if self.is_residual else y)


class BcResNet(nn.Module):
    """Broadcasted residual blocks in four groups; `base` channels is 8 times the factor in the network's name."""

    def __init__(self, classes: int, bands: int, base: int):
        super().__init__()
        channels = [2 * base, base, 3 * base // 2, 2 * base, 5 * base // 2]
        blocks: list[nn.Module] = []
        for group, count in enumerate((2, 2, 4, 4)):
            for number in range(count):
                inputs = channels[group] if number == 0 else channels[group + 1]
                stride = 2 if number == 0 and group in (1, 2) else 1
                blocks.append(BroadcastBlock(inputs, channels[group + 1], stride, 1 << group))
        last, wide = channels[-1], 4 * base
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(1, channels[0], 5, (2, 1), 2, bias=False)),
            *blocks,
            nn.Conv2d(last, last, (bands // 8, 5), padding=(0, 2), groups=last, bias=False),
            *_normed(nn.Conv2d(last, wide, 1, bias=False)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(wide, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class FastGrnn(nn.Module):
    """h' = (zeta (1 - z) + nu) tanh(W x + U h + b) + z h with the gate z = sigmoid(W x + U h + c), frame by frame.

    W and U are products of two matrices of a low rank; zeta and nu lie in 0..1.
    """

    def __init__(self, classes: int, bands: int, units: int, rank: int):
        super().__init__()
        self.of_input = nn.Sequential(nn.Linear(bands, rank, bias=False), nn.Linear(rank, units, bias=False))
        self.of_state = nn.Sequential(nn.Linear(units, rank, bias=False), nn.Linear(rank, units, bias=False))
        self.gate_bias = nn.Parameter(torch.ones(units))
        self.update_bias = nn.Parameter(torch.ones(units))
        self.zeta = nn.Parameter(torch.tensor(1.0))
        self.nu = nn.Parameter(torch.tensor(-4.0))
        self.scores = nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inputs = self.of_input(x.squeeze(1).transpose(1, 2))
        state = x.new_zeros(len(x), len(self.gate_bias))
        zeta, nu = torch.sigmoid(self.zeta), torch.sigmoid(self.nu)
        for frame in inputs.unbind(1):
            mixed = frame + self.of_state(state)
            gate = torch.sigmoid(mixed + self.gate_bias)
            state = (zeta * (1 - gate) + nu) * torch.tanh(mixed + self.update_bias) + gate * state
        return self.scores(state)


def int8_bytes(network: nn.Module) -> int:
    """Bytes where weights have 8 bits: one for each, and what a bias or a channel of a norm takes."""
    total = 0
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1:
                total += parameter.numel()
            elif isinstance(module, SubBandNorm):
                # a byte for scale and shift of each part, besides the channel's requantization
                total += parameter.numel() + REQUANTIZED_BYTES * parameter.numel() // SUB_BANDS // 2
            elif parameter.ndim == 0:
                total += SCALAR_BYTES
            elif name.endswith("bias"):
                # a norm's scale goes into the multiplier that its shift has anyway
                total += REQUANTIZED_BYTES * parameter.numel()
    return total


def _normed(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
