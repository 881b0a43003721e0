"""Network -> QuantizedModel, and the network that computes in the model's integers."""

from dataclasses import replace

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import FrontEnd
from signbit.qmodel.input_quantization import InputQuantization
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.fold import fold
from signbit.trainer.network.block import Block
from signbit.trainer.network.frozen import IntegerActivation
from signbit.trainer.network.network import Network


def quantize(
    network: Network,
    name: str,
    input_shape: tuple[int, ...],
    labels: tuple[str, ...],
    quantization: InputQuantization | None = None,
    front_end: FrontEnd | None = None,
) -> QuantizedModel:
    """The integer model of a binarized, calibrated network, its ranges proved by `QuantizedModel.validate`.

    `quantization` is how the inputs that the network was trained on were made from counts, `front_end` how these, or
    the inputs, were made from samples.
    Raises SignbitError for a float network, or where no shift keeps a layer inside int32.
    """
    blocks = freeze(network).blocks
    layers = tuple(block.integer_layer() for block in blocks)
    # the last layer's shift is what its logits are worth
    shift = blocks[-1].activation.folded.shift
    return QuantizedModel(
        name,
        tuple(input_shape),
        network.input_shift,
        layers,
        tuple(labels),
        shift,
        input_quantization=quantization,
        front_end=front_end,
    ).validate()


def freeze(network: Network, any_weights: bool = False) -> Network:
    """A network with the same weights and, in place of batch norm and activation, the integers of `quantize`.

    It computes what the integer model computes.  With `any_weights` its integers have room for other weights, so
    that these can learn.
    """
    if not network.is_binarized:
        raise SignbitError("only a binarized network has an integer model; train with --binarize deterministic")
    blocks, values = [], [network.value]
    for block in network.blocks:
        inputs = [values[back] for back in block.inputs]
        if isinstance(block, Block) and not block.is_frozen:
            activation = IntegerActivation(fold(block, *inputs, any_weights), block.norm.factor)
            block = replace(block, norm=None, activation=activation, dropout=None)
        blocks.append(block)
        values.append(block.integer_layer().output(*inputs))
    return Network(blocks, network.input_shape, network.input_shift, dtype=network.dtype, encoding=network.encoding)
