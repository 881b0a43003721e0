"""Network -> QuantizedModel, and the network that computes in the model's integers."""

from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.fold import folds
from signbit.trainer.network.frozen import IntegerActivation
from signbit.trainer.network.layer import Layer
from signbit.trainer.network.network import Network
from signbit.trainer.network.pool import AveragePool, MaxPool


def quantize(network: Network, name: str, input_shape: tuple[int, ...], labels: tuple[str, ...]) -> QuantizedModel:
    """The integer model of a binarized, calibrated network, its ranges proved by `QuantizedModel.validate`.

    Raises SignbitError for a float network, or where no shift keeps a layer inside int32.
    """
    _, layers, folded = zip(*folds(network), strict=True)
    # the last layer's shift is what its logits are worth
    shift = folded[-1].shift
    model = QuantizedModel(name, tuple(input_shape), network.input_shift, layers, tuple(labels), shift)
    return model.validate()


def freeze(network: Network, any_weights: bool = False) -> Network:
    """A network with the same weights and, in place of batch norm and activation, the integers of `quantize`.

    It computes what the integer model computes.  With `any_weights` its integers have room for other weights, so
    that these can learn.
    """
    if any(isinstance(layer, IntegerActivation) for layer in network.layers):
        return network
    layers: list[Layer] = []
    for group, _, folded in folds(network, any_weights):
        if isinstance(group, AveragePool):
            layers.append(group)
            continue
        pool = [MaxPool(group.pool)] if group.pool != (1, 1) else []
        layers += [group.weighted, *pool, IntegerActivation(folded, group.norm.factor)]
    return Network(layers, network.input_shape, network.input_shift, dtype=network.dtype)
