"""Networks trained in PyTorch and converted: what tools/check leaves out, since it installs no torch.

python -m pytest tests/torch_networks.py
"""

import re

import numpy as np
import pytest
import torch
from torch import nn

from signbit.bridge.compare import compare
from signbit.bridge.torch import BinaryConv2d, BinaryLinear, BinarySign, QuantReLU, convert
from signbit.qmodel.errors import SignbitError
from tests.golden.onnx.make_torch import Joined, Plain, Residual, signal, train

ACCURACY_MIN = {"plain": 0.7, "residual": 0.6, "joined": 0.7, "signal": 0.5}
SAMPLE = torch.zeros(1, 1, 8, 8)


@pytest.mark.parametrize("make", [Plain, Residual, Joined, signal])
def test_a_trained_network_and_its_integers_agree_on_every_digit(make, digits):
    torch.manual_seed(0)
    network = make()
    assert train(network) >= ACCURACY_MIN[make.__name__.lower()]
    imported = convert(network, SAMPLE, name="digits", labels=digits.labels)
    found, certificate = compare(imported, digits.test), imported.certificate
    assert (found.labels_equal, found.inputs) == (360, 360)
    assert certificate.different <= certificate.possible * 3e-4
    assert imported.model.labels == digits.labels and not network.training


def test_latent_weights_stay_within_1_and_their_signs_are_the_model_s():
    torch.manual_seed(0)
    layer = BinaryLinear(64, 10)
    optimizer = torch.optim.SGD(layer.parameters(), 1.0)
    for _ in range(20):
        layer(torch.randn(8, 64)).square().sum().backward()
        optimizer.step()
    layer(torch.zeros(1, 64))
    (latent,) = layer.parameters()
    assert latent.abs().max() <= 1 and latent.abs().max() > 0.9
    model = convert(nn.Sequential(nn.Flatten(), layer), SAMPLE).model
    assert np.array_equal(model.layers[0].weights, np.where(latent.detach().numpy() >= 0, 1, -1))


def test_gradients_go_straight_through_where_the_input_is_within_1():
    x = torch.tensor([-2.0, -1.0, 0.0, 0.5, 3.0], requires_grad=True)
    y = BinarySign()(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 1, 1, 1] and x.grad.tolist() == [0, 1, 1, 1, 0]
    x = torch.tensor([-1.0, 0.3, 0.5, 9.0], requires_grad=True)
    y = QuantReLU(high=4, top=4.0)(x)
    y.sum().backward()
    assert y.tolist() == [0, 0, 1, 4] and x.grad.tolist() == [0, 1, 1, 0]


def test_convert_leaves_the_module_as_it_was():
    network = nn.Sequential(nn.Flatten(), BinaryLinear(64, 10), nn.BatchNorm1d(10)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    convert(network, SAMPLE)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "layers, text",
    [
        ((nn.Flatten(), nn.Linear(64, 10)), "has float weights"),
        ((BinaryConv2d(1, 4, 3), BinarySign(), BinaryConv2d(4, 4, 3, padding=1)), "ends in an image|pads one-bit"),
        ((nn.Flatten(), BinaryLinear(64, 8), nn.GELU(), BinaryLinear(8, 10)), "no integer form of"),
    ],
)
def test_what_has_no_integer_form_is_refused_by_its_node(layers, text):
    with pytest.raises(SignbitError, match=text) as caught:
        convert(nn.Sequential(*layers), SAMPLE)
    assert re.search(r"node \S+ \(", str(caught.value)) or "ends in" in str(caught.value)
