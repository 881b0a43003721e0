"""Train the networks of larq_*.onnx on the package's digits and export them with tf2onnx.

TF_USE_LEGACY_KERAS=1 python tests/golden/onnx/make_larq.py      tensorflow-cpu, tf-keras, larq, tf2onnx
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from pathlib import Path

import larq
import numpy as np
import tensorflow as tf
import tf2onnx

from signbit.qmodel.data.named import load_digits

HERE = Path(__file__).parent
EPOCHS, BATCH = 6, 50
WEIGHTS = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
BOTH = {"input_quantizer": "ste_sign", **WEIGHTS}


def conv() -> tf.keras.Model:
    layers, norm = tf.keras.layers, tf.keras.layers.BatchNormalization
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            larq.layers.QuantConv2D(8, 3, **WEIGHTS),
            layers.MaxPooling2D(2),
            norm(),
            larq.layers.QuantConv2D(16, 3, padding="same", pad_values=1.0, **BOTH),
            norm(),
            layers.Flatten(),
            larq.layers.QuantDense(10, **BOTH),
            norm(),
        ]
    )


def dense() -> tf.keras.Model:
    layers, norm = tf.keras.layers, tf.keras.layers.BatchNormalization
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            larq.layers.QuantDense(32, **WEIGHTS),
            norm(),
            larq.layers.QuantDense(10, **BOTH),
            norm(),
            layers.Softmax(),
        ]
    )


def main() -> None:
    data = load_digits()
    x = {part: getattr(data, part).x.reshape(-1, 8, 8, 1) / np.float32(255) for part in ("train", "test")}
    for name, make in (("conv", conv), ("dense", dense)):
        tf.keras.utils.set_random_seed(1)
        network = make()
        is_logits = name == "conv"
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=is_logits)
        network.compile(tf.keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
        network.fit(x["train"], data.train.y, BATCH, EPOCHS, verbose=0)
        _, accuracy = network.evaluate(x["test"], data.test.y, verbose=0)
        path = HERE / f"larq_{name}.onnx"
        signature = (tf.TensorSpec((None, 8, 8, 1), tf.float32, name="x"),)
        tf2onnx.convert.from_keras(network, input_signature=signature, opset=17, output_path=str(path))
        print(f"{path.name}: accuracy {accuracy:.4f}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
