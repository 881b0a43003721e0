"""Layers to train in PyTorch whose network has an exact integer model, and `convert`, which makes it.

`BinaryLinear`, `BinaryConv1d` and `BinaryConv2d` keep latent weights in -1..1 and compute with their signs; the
gradient goes straight through.  `QuantReLU` rounds to whole numbers times a scale, `BinarySign` gives +1 and -1.  Any
optimizer, loop and device will do, and torch's batch normalization, max pools, additions and concatenations go with
them (docs/BRIDGE.md).

    network = nn.Sequential(nn.Flatten(), BinaryLinear(784, 64), nn.BatchNorm1d(64), QuantReLU(), BinaryLinear(64, 10))
    ...
    model = convert(network, images[:1], name="mnist").model
"""

import contextlib
import copy
import io
import warnings
from collections.abc import Sequence

from signbit.qmodel.errors import SignbitError

try:
    import torch
    from torch import nn
    from torch.nn import functional
    from torch.nn.utils import parametrize
except ImportError:
    raise SignbitError("this needs torch: pip install 'signbit[torch]'") from None

from signbit.bridge.graph.reading import checked, parse
from signbit.bridge.importing import Imported, Options, import_model

OPSET = 17
LATENT_START = 0.5
"""New latent weights lie in -LATENT_START..LATENT_START."""


class _Sign(torch.autograd.Function):
    """+1 where x >= 0, else -1; the gradient passes where |x| <= 1."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient * (x.abs() <= 1)


class _Round(torch.autograd.Function):
    """floor(x + 0.5), halves up as SPEC 4 has it; the gradient passes."""

    @staticmethod
    def forward(context, x):
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(context, gradient):
        return gradient


class Binarized(nn.Module):
    """A parametrization: the signs of latent weights, which are clipped to -1..1 in place."""

    def forward(self, latent):
        if self.training:
            with torch.no_grad():
                latent.clamp_(-1.0, 1.0)
        return _Sign.apply(latent)

    def right_inverse(self, weights):
        return weights


def binarized(layer: nn.Module) -> nn.Module:
    """`layer` with one-bit weights: those of `layer.weight`, which become latent."""
    nn.init.uniform_(layer.weight, -LATENT_START, LATENT_START)
    parametrize.register_parametrization(layer, "weight", Binarized(), unsafe=True)
    return layer


class BinaryLinear(nn.Linear):
    """y_j = sum_i sign(w_ji) * x_i."""

    def __init__(self, in_features: int, out_features: int, **options):
        super().__init__(in_features, out_features, bias=False, **options)
        binarized(self)


class _Padded(nn.Module):
    """Pads with `padding_value`: -1 before `BinarySign`'s values, which have no 0."""

    def forward(self, x):
        if not self.padding_value:
            return super().forward(x)
        sides = self.padding if isinstance(self.padding, tuple) else (self.padding,)
        widths = [side for each in reversed(sides) for side in (each, each)]
        padded = functional.pad(x, widths, value=self.padding_value)
        convolve = functional.conv1d if len(sides) == 1 else functional.conv2d
        return convolve(padded, self.weight, None, self.stride, 0, self.dilation, self.groups)


class BinaryConv1d(_Padded, nn.Conv1d):
    """A convolution over time with one-bit weights; groups 1, or one for each channel."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size, padding_value: float = 0.0, **options):
        nn.Conv1d.__init__(self, in_channels, out_channels, kernel_size, bias=False, **options)
        self.padding_value = padding_value
        binarized(self)


class BinaryConv2d(_Padded, nn.Conv2d):
    """A convolution with one-bit weights; groups 1, or one for each channel."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size, padding_value: float = 0.0, **options):
        nn.Conv2d.__init__(self, in_channels, out_channels, kernel_size, bias=False, **options)
        self.padding_value = padding_value
        binarized(self)


class QuantReLU(nn.Module):
    """y = scale * clamp(round(x / scale), 0, high); `scale` is such that `top` is the highest number."""

    def __init__(self, high: int = 127, top: float = 4.0):
        super().__init__()
        self.high, self.scale = high, top / high

    def forward(self, x):
        return self.scale * _Round.apply(torch.clamp(x / self.scale, 0, self.high))


class BinarySign(nn.Module):
    """+1 where x >= 0, else -1."""

    def forward(self, x):
        return _Sign.apply(x)


def convert(
    module: nn.Module,
    sample: torch.Tensor,
    name: str = "imported",
    labels: Sequence[str] | None = None,
    input_unit: float | None = None,
    allow_rounding: bool = False,
) -> Imported:
    """The integer model of `module`, and its certificate; `sample` is one input as the module takes it.

    `input_unit` is what the module reads for a byte of 1, by default 1/255.  Raises SignbitError for what has no
    integer form.
    """
    # wherever the module is, and whatever mode it is in, it stays there
    network, file = copy.deepcopy(module).cpu().eval(), io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        # the newer exporter writes external data, and needs another package
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (sample[:1].cpu(),), file, dynamo=False, opset_version=OPSET, input_names=["input"])
    options = Options(name, tuple(labels) if labels else None, input_unit, allow_rounding=allow_rounding)
    return import_model(checked(parse(file.getvalue())), options)
