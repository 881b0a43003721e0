"""Pictures of a run: what they show, the same bytes each time, and nothing left behind."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'signbit[plot]')")

import matplotlib

from signbit.qmodel.data.named import Dataset, Split, load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.trainer.learning.evaluate import Confusion, evaluate
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.learning.train import Epoch, History
from signbit.trainer.report.figure import style
from signbit.trainer.report.pictures import confusion_matrix, curves, draw
from signbit.trainer.report.tiles import BACKGROUND, SAMPLES_MAX, first_weights, misclassified
from tests.motion import motion_csv

ALL = ["curves.png", "confusion.png", "misclassified.png", "weights.png"]


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def done(digits):
    return run(default_settings(model="conv3x3:6 pool2, dense", epochs=2), digits)


@pytest.fixture(autouse=True)
def styled():
    with style():
        yield


def made(shape, model, labels=("a", "b", "c"), seed=0, **given):
    """Noise of `shape`, and a model that was trained on it for an epoch."""
    rng = np.random.default_rng(seed)
    parts = [Split(rng.integers(0, 256, (60, int(np.prod(shape))), np.uint8), np.arange(60) % 3) for _ in range(3)]
    data = Dataset("noise", shape, labels, *parts, "")
    settings = default_settings("noise", model, epochs=1, augment="none", **given)
    return run(settings, data).model, data


def history_of(validation) -> History:
    epochs = tuple(Epoch(n, 1 / n, 0.5, accuracy, 2 / n, n) for n, accuracy in enumerate(validation, start=1))
    return History(epochs, epochs[-2] if len(epochs) > 1 else epochs[0])


# --- files


def test_all_pictures_are_drawn_and_come_out_the_same(done, digits, tmp_path):
    confusion = evaluate(done.model, digits)
    paths = draw(done.history, confusion, done.model, digits, tmp_path)
    assert [path.name for path in paths] == ALL and sorted(tmp_path.iterdir()) == sorted(paths)
    first = [path.read_bytes() for path in paths]
    assert draw(done.history, confusion, done.model, digits, tmp_path) == paths
    assert [path.read_bytes() for path in paths] == first
    for content in first:
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        # the chunks of texts and times
        assert not any(chunk in content for chunk in (b"tEXt", b"iTXt", b"zTXt", b"tIME", b"Software"))


def test_what_an_earlier_run_left_is_removed(done, digits, tmp_path):
    for name in [*ALL, "mine.png"]:
        (tmp_path / name).write_text("old")
    assert [path.name for path in draw(done.history, None, None, digits, tmp_path)] == ["curves.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "mine.png"]
    assert (tmp_path / "curves.png").read_bytes() != b"old"


def test_vectors_have_no_pictures_of_samples(tmp_path):
    model, data = made((5,), "mlp")
    paths = draw(history_of([0.5]), evaluate(model, data), model, data, tmp_path)
    assert [path.name for path in paths] == ["curves.png", "confusion.png", "weights.png"]


def test_users_matplotlib_is_neither_heard_nor_changed(done, digits, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "mine").mkdir()
    plain = draw(done.history, None, None, digits, tmp_path / "plain")[0].read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "text.parse_math": True}):
        before = dict(matplotlib.rcParams)
        assert draw(done.history, None, None, digits, tmp_path / "mine")[0].read_bytes() == plain
        assert dict(matplotlib.rcParams) == before


def test_no_window_system_is_asked(repository):
    program = (
        "import sys\nfrom signbit.trainer.report import pictures, figure as f\nwith f.style(): f.new_figure(1, 1)\n"
    )
    program += "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=repository, check=True)


def test_without_matplotlib_the_extra_is_named(repository, tmp_path):
    program = "import sys; sys.modules['matplotlib'] = None\nfrom signbit.trainer.report.pictures import draw\n"
    program += f"from pathlib import Path\ndraw(None, None, None, None, Path({str(tmp_path)!r}))"
    last = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True).stderr
    assert last.splitlines()[-1] == (
        'signbit.qmodel.errors.SignbitError: pictures need matplotlib; pip install "signbit[plot]"'
    )


# --- curves


def test_curves_show_every_epoch_and_mark_the_chosen_one():
    accuracies = [0.3, 0.8, 0.9, 0.85]
    loss, accuracy = curves(history_of(accuracies)).axes
    train, validation, line, mark = accuracy.get_lines()
    assert validation.get_ydata().tolist() == pytest.approx([100 * value for value in accuracies])
    assert train.get_ydata().tolist() == [50] * 4 and validation.get_xdata().tolist() == [1, 2, 3, 4]
    assert line.get_xdata() == [3, 3] and mark.get_xydata().tolist() == [[3, pytest.approx(90)]]
    assert loss.get_lines()[0].get_ydata().tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert loss.get_lines()[1].get_ydata().tolist() == pytest.approx([2, 1, 2 / 3, 1 / 2])
    assert "epoch, 3" in loss.get_title(loc="left") and "90.00%" in accuracy.get_title(loc="left")


def test_first_epochs_do_not_press_the_others_together():
    accuracy = curves(history_of([0.1, *[0.97] * 10, *[0.99] * 10])).axes[1]
    low, high = accuracy.get_ylim()
    # training's 50 % is shown, validation's first 10 % is not
    assert 40 < low < 50 and 99 < high < 110


def test_one_epoch_is_a_point():
    lines = curves(history_of([0.5])).axes[1].get_lines()
    assert all(line.get_marker() == "o" for line in (lines[0], lines[1]))


# --- confusion matrix


def test_confusion_matrix_holds_every_count():
    counts = np.array([[90, 10, 0], [0, 1200, 3], [0, 0, 0]])
    axis = confusion_matrix(Confusion(counts, ("a", "b", "c")), "m on d").axes[0]
    shown = {text.get_position(): int(text.get_text()) for text in axis.texts}
    assert shown == {(0, 0): 90, (1, 0): 10, (1, 1): 1200, (2, 1): 3}
    colours = axis.images[0].get_array()
    assert colours[0, 2].tolist() == [1, 1, 1] and colours[2, 2].tolist() == [1, 1, 1]
    right, wrong, rarely_wrong = colours[1, 1], colours[0, 1], colours[1, 2]
    assert right[2] > right[0] and wrong[0] > wrong[2]
    assert wrong.sum() < rarely_wrong.sum() < 2.9


def test_labels_are_no_mathematics(tmp_path, done, digits):
    labels = ("$x_$", "a\nb", "跑步", "%", "e", "f", "g", "h", "i", "j")
    confusion = Confusion(evaluate(done.model, digits).counts, labels)
    axis = confusion_matrix(confusion, "m on $d_$").axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()][:2] == ["$x_$", "a?b"]
    draw(done.history, confusion, done.model, digits, tmp_path)


def test_many_classes_have_colours_only():
    assert not confusion_matrix(Confusion(np.eye(60, dtype=int), tuple(map(str, range(60)))), "m").axes[0].texts


# --- samples


def test_misclassified_images_are_the_surest(done, digits):
    logits = done.model.run(digits.test.x)
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != digits.test.y)
    lead = logits.max(axis=1) - logits[np.arange(len(logits)), digits.test.y]
    expected = sorted(wrong, key=lambda index: (-lead[index], index))[:SAMPLES_MAX]
    axes = [axis for axis in misclassified(done.model, digits).axes if axis.get_visible()]
    assert [axis.get_title() for axis in axes] == [f"{digits.test.y[i]} → {predicted[i]}" for i in expected]
    for axis, index in zip(axes, expected, strict=True):
        assert np.array_equal(axis.images[0].get_array(), digits.test.x[index].reshape(8, 8))


def test_misclassified_colour_images_keep_their_colours():
    model, data = made((6, 7, 3), "conv3x3:4, dense")
    image = misclassified(model, data).axes[0].images[0].get_array()
    assert image.shape == (6, 7, 3) and (data.test.x == image.reshape(-1)).all(axis=1).any()


def test_no_misclassified_samples_no_picture(done, digits):
    right = done.model.predict(digits.test.x)
    perfect = Dataset("digits", (8, 8, 1), digits.labels, *[Split(digits.test.x, right)] * 3, "")
    assert misclassified(done.model, perfect) is None


def test_time_series_are_lines(tmp_path):
    (tmp_path / "motion.csv").write_text(motion_csv())
    options = LoadingOptions(group_column="person", ignore_columns=("time",), window=64, stride=32, lsb={"": 0.000061})
    settings = default_settings("motion", "tiny", epochs=1, augment="none")
    data = settings.prepared(load_dataset(str(tmp_path / "motion.csv"), None, options))
    model = run(settings, data, "motion").model
    figure = misclassified(model, data)
    lines = np.stack([line.get_ydata() for line in figure.axes[0].get_lines()], axis=1)
    assert lines.shape == (64, 3) and (data.test.x == lines.reshape(-1)).all(axis=1).any()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["acc_x", "acc_y", "acc_z"]
    canvas = first_weights(model).axes[0].images[0].get_array()
    kernel = model.layers[0].weights[0]
    assert tiles(canvas, 3, 7)[0].tolist() == kernel[:, 0].T.tolist()


# --- weights


def tiles(canvas, height, width):
    """The weights of each tile of a mosaic, int (tiles, height, width), row by row."""
    is_tile = (canvas != BACKGROUND).any(axis=2)
    assert ((canvas == canvas[..., :1]).all(axis=2) == is_tile).all()
    tops = [y for y in np.flatnonzero(is_tile.any(axis=1)) if not is_tile[y - 1].any()]
    lefts = [x for x in np.flatnonzero(is_tile.any(axis=0)) if not is_tile[:, x - 1].any()]
    corners = [(top, left) for top in tops for left in lefts if is_tile[top, left]]
    found = [canvas[top : top + height, left : left + width, 0] for top, left in corners]
    assert is_tile.sum() == len(found) * height * width
    return np.array([np.rint(2 * tile - 1) for tile in found]).astype(int)


def test_kernels_are_black_and_white_in_their_order(done):
    axis = first_weights(done.model).axes[0]
    assert np.array_equal(tiles(axis.images[0].get_array(), 3, 3), done.model.layers[0].weights[..., 0])


def test_ternary_zeros_are_grey():
    model, _ = made((8, 8, 1), "conv3x3:5 ternary, dense")
    figure = first_weights(model)
    weights = model.layers[0].weights[..., 0]
    assert (weights == 0).any() and "grey 0" in figure.get_suptitle()
    assert np.array_equal(tiles(figure.axes[0].images[0].get_array(), 3, 3), weights)


def test_neurons_on_images_are_masks_and_classes_have_their_names():
    model, _ = made((8, 6, 1), "logistic")
    axis = first_weights(model).axes[0]
    assert np.array_equal(tiles(axis.images[0].get_array(), 8, 6), model.layers[0].rows.reshape(3, 8, 6))
    assert [text.get_text() for text in axis.texts] == ["a", "b", "c"]


def test_channels_stand_side_by_side():
    model, _ = made((8, 6, 3), "conv3x2:4, dense")
    found = tiles(first_weights(model).axes[0].images[0].get_array(), 3, 2)
    expected = model.layers[0].weights.transpose(0, 3, 1, 2).reshape(-1, 3, 2)
    assert np.array_equal(found, expected)


def test_first_layer_with_weights_is_shown_behind_a_pool():
    model, _ = made((8, 8, 2), "avgpool2, depthwise3x3, dense")
    figure = first_weights(model)
    assert figure.get_suptitle().startswith("layer 1: 2 kernels of 3×3")
    assert np.array_equal(tiles(figure.axes[0].images[0].get_array(), 3, 3), model.layers[1].weights)


@pytest.mark.parametrize(("inputs", "hidden"), [(30, 20), (4, 64), (300, 8)])
def test_vectors_weights_are_a_matrix(inputs, hidden):
    model, _ = made((inputs,), "mlp", hidden=(hidden,))
    names = tuple(f"column {number}" for number in range(inputs))
    axis = first_weights(model, names).axes[0]
    rows = model.layers[0].rows
    is_wide = inputs >= hidden
    assert np.array_equal(axis.images[0].get_array(), rows if is_wide else rows.T)
    ticks = [text.get_text() for text in (axis.get_xticklabels() if is_wide else axis.get_yticklabels())]
    assert (ticks == list(names)) is (inputs <= 64)
    assert {axis.get_xlabel(), axis.get_ylabel()} == {"input", "neuron"}


def test_large_layers_are_cut():
    model, _ = made((8, 8, 1), "mlp", hidden=(300,))
    figure = first_weights(model)
    assert "first 256 of 300 neurons" in figure.get_suptitle()
    assert len(tiles(figure.axes[0].images[0].get_array(), 8, 8)) == 256


@pytest.mark.parametrize(
    ("shape", "model"),
    [((300, 2, 1), "dense:40, dense"), ((2, 900, 1), "conv2x255:3, dense"), ((9000,), "mlp"), ((1, 1, 1), "dense")],
    ids=str,
)
def test_pictures_of_strange_shapes_stay_small(tmp_path, shape, model):
    model, data = made(shape, model)
    for path in draw(history_of([0.5]), evaluate(model, data), model, data, tmp_path):
        width, height = (int.from_bytes(path.read_bytes()[at : at + 4], "big") for at in (16, 20))
        assert 300 <= width <= 3000 and 60 <= height <= 3000


def test_a_thousand_classes_are_drawn(tmp_path, done, digits):
    rng = np.random.default_rng(0)
    confusion = Confusion(rng.integers(0, 2, (1000, 1000)), tuple(f"class {number}" for number in range(1000)))
    draw(done.history, confusion, done.model, digits, tmp_path)
