"""The scikit-learn classifier: scikit-learn's own checks, quantization, export, and docs/ESTIMATOR.md."""

import contextlib
import inspect
import io
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'signbit[sklearn]')")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.host import Host
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import verify, verify_input
from signbit.qmodel.command import run_command
from signbit.qmodel.data import counts
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.split import split_fraction
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, to_bytes
from signbit.trainer.estimator import BinaryConnectClassifier
from signbit.trainer.learning.settings import Settings
from tests.test_data_docs import blocks

SHORT = {"epochs": 3, "hidden": (8,)}


@parametrize_with_checks(
    [
        BinaryConnectClassifier(),
        BinaryConnectClassifier(
            "logistic", binarize="stochastic", class_weights="balanced", lsb=2.0**-7, random_state=1
        ),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def real():
    """Four columns: counts, physical units small and large, and one that never changes."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    columns = y[:, None] * [80, 0.01, 50_000] + rng.normal(0, [9, 1e-3, 15_000], (150, 3))
    columns[:, 0] = np.rint(columns[:, 0])
    return np.column_stack([columns, np.full(150, 7.5)]), y


@pytest.fixture(scope="module")
def fitted(real):
    return BinaryConnectClassifier(hidden=(16,), epochs=30).fit(*real)


# --- quantization


def test_each_column_gets_what_a_count_is_worth(real, fitted):
    x, _ = real
    assert fitted.lsb_[0] == 1
    for index in (1, 2, 3):
        lsb, largest = fitted.lsb_[index], np.abs(x[:, index]).max()
        assert np.log2(lsb) == np.round(np.log2(lsb))
        assert largest / lsb <= 32_767 < largest / (lsb / 2)
    assert np.abs(fitted.counts(x) * fitted.lsb_ - x).max(axis=0).tolist() <= (fitted.lsb_ / 2).tolist()
    assert fitted.inputs(x)[:, 3].tolist() == [128] * 150


@pytest.mark.parametrize(
    ("values", "lsb"),
    [
        ([0.0, 0.0], 1),
        ([-32_768, 32_767], 1),
        ([-32_768, 32_768], 2),
        ([32_767.5, 0], 2),
        ([32_767 / 8, 0.5], 1 / 8),
        ([-32_767 / 8, 0.5], 1 / 8),
        ([1.0, 70_000], 4),
        ([1e-300, 0], None),
        ([1e300, -1e300], None),
    ],
)
def test_worth_of_a_count(values, lsb):
    column = np.array(values)[:, None]
    (chosen,) = counts.choose_lsb(column)
    assert lsb in (None, chosen)
    assert np.abs(column / chosen).max() <= 32_768
    assert chosen == 1 or np.abs(column / chosen).max() > 16_383


def test_logits_are_the_models_for_what_the_firmware_would_feed(real, fitted):
    x, _ = real
    model = fitted.model_
    inputs = model.quantize_input(np.clip(np.rint(x / fitted.lsb_), -32_768, 32_767).astype(np.int16))
    assert np.array_equal(fitted.inputs(x), inputs) and fitted.counts(x).dtype == np.int16
    assert np.array_equal(fitted.predict(x), model.predict(inputs))
    logits = model.run(inputs) / 2.0**model.logit_shift
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(x), expected, rtol=1e-9)
    assert fitted.score(*real) >= 0.9


def test_values_beyond_the_sensor_are_its_limits(real, fitted):
    x = real[0][:1] * np.array([[1, 1e9, -1e9, 1]])
    assert fitted.counts(x)[0, 1:3].tolist() in ([32_767, -32_768], [-32_768, 32_767], [-32_768, -32_768])


def test_given_worths_are_kept_and_too_small_ones_are_refused(real):
    x, y = real
    one = BinaryConnectClassifier(**SHORT, lsb=[1, 1e-4, 8, 0.5]).fit(x, y)
    assert one.lsb_.tolist() == [1, 1e-4, 8, 0.5]
    assert one.counts(x)[0, 3] == 15
    record = one.model_.provenance["data"]
    assert record["lsb"] == {"2": 1e-4, "3": 8, "4": 0.5} and record["columns"] == ["1", "2", "3", "4"]
    with pytest.raises(SignbitError, match=r"column '3': \d+ of \d+ values are beyond int16 .* give a larger lsb"):
        BinaryConnectClassifier(lsb=1).fit(x, y)


def test_bytes_are_taken_as_they_come():
    digits = load_dataset("digits")
    x, y = digits.train.x, digits.train.y
    one = BinaryConnectClassifier(**SHORT).fit(x, y)
    assert one.lsb_ is None and one.model_.input_quantization is None
    assert np.array_equal(one.inputs(x.astype(float)), x)
    for wrong in (x - 0.5, x.astype(int) + 256, x.astype(int) - 256):
        with pytest.raises(SignbitError, match="whole numbers from 0 to 255"):
            one.predict(wrong)
    with pytest.raises(SignbitError, match="there are no counts"):
        one.counts(x)


def test_images_and_windows_have_a_quantization_a_channel():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    windows = rng.normal(0, [1, 0.01], (60, 16, 1, 2)) + y[:, None, None, None] * [2, 0.02]
    one = BinaryConnectClassifier("conv5x1:4, globalavg, dense", epochs=5, input_shape=(16, 1, 2))
    one.fit(windows.reshape(60, -1), y)
    assert one.model_.input_shape == (16, 1, 2) and one.model_.input_quantization.channels == 2
    assert one.lsb_.shape == (2,) and one.lsb_[0] >= 32 * one.lsb_[1]
    assert one.counts(windows.reshape(60, -1)).shape == (60, 32)


def test_column_that_counts_can_not_resolve_is_named():
    x = np.array([[101_325.0 + i % 7 / 7, i % 5] for i in range(40)])
    with pytest.warns(UserWarning, match=r"column '1' lies far from 0 .* counts of 4 are coarse; subtract a constant"):
        BinaryConnectClassifier(**SHORT).fit(x, np.arange(40) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BinaryConnectClassifier(**SHORT).fit(x - [[101_325, 0]], np.arange(40) % 2)


# --- training


def test_same_seed_same_bytes(real):
    x, y = real
    models = [BinaryConnectClassifier(**SHORT, random_state=seed).fit(x, y).model_ for seed in (3, 3, 4)]
    assert to_bytes(models[0]) == to_bytes(models[1])
    assert models[2].hash != models[0].hash
    drawn = [BinaryConnectClassifier(**SHORT, random_state=np.random.RandomState(5)).fit(x, y).model_ for _ in range(2)]
    assert drawn[0].hash == drawn[1].hash


def test_copies_predict_the_same(real, fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.predict_proba(real[0]), fitted.predict_proba(real[0]))
    again = clone(fitted)
    assert again.get_params() == fitted.get_params() and not hasattr(again, "model_")


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (["no", "yes", "é"], ("no", "yes", "é")),
        ([False, True], ("False", "True")),
        ([-1.0, 10.0, 2.0], ("-1", "2", "10")),
        ([7, -3], ("-3", "7")),
        (["only"], ("only",)),
    ],
)
def test_classes_become_the_headers_labels(real, classes, labels):
    x, y = real
    names = np.array(classes)[y % len(classes)]
    one = BinaryConnectClassifier(**SHORT).fit(x, names)
    assert one.model_.labels == labels
    assert set(one.predict(x)) <= set(classes) and one.predict(x).dtype == names.dtype
    assert one.predict_proba(x).shape == (150, len(classes))


def test_validation_part_is_a_stratified_fraction(real):
    x, y = real
    record = BinaryConnectClassifier(**SHORT, validation_fraction=0.2).fit(x, y).model_.provenance
    assert (record["data"]["train"], record["data"]["validation"], record["data"]["test"]) == (120, 30, 0)
    assert record["accuracy"]["validation"]["count"] == 30 and "test" not in record["accuracy"]


@pytest.mark.parametrize("fraction", [0.01, 0.125, 0.3, 0.5])
def test_fraction_leaves_each_class_a_sample(fraction):
    rng = np.random.default_rng(0)
    for _ in range(200):
        classes = np.repeat(np.arange(5), rng.integers(0, 8, 5))
        rest, chosen = split_fraction(classes, fraction)
        assert sorted([*rest, *chosen]) == list(range(len(classes)))
        assert set(classes[rest]) == set(classes)
        several = np.bincount(classes)[classes] > 1 if len(classes) else np.zeros(0, bool)
        assert (len(chosen) > 0) == several.any()
        assert abs(len(chosen) - fraction * several.sum()) <= 1


def test_fraction_is_stratified():
    _, chosen = split_fraction(np.repeat([0, 1, 2], [400, 80, 40]), 0.25)
    assert np.bincount(np.repeat([0, 1, 2], [400, 80, 40])[chosen]).tolist() == [100, 20, 10]


def test_grid_search_and_pipelines_work(real):
    x, y = real
    pipeline = make_pipeline(FunctionTransformer(lambda values: values * 2.0), BinaryConnectClassifier(epochs=5))
    grid = {"binaryconnectclassifier__hidden": [(4,), (16,)], "binaryconnectclassifier__binarize": ["deterministic"]}
    search = GridSearchCV(pipeline, grid, cv=StratifiedKFold(2)).fit(x, y)
    assert search.score(x, y) > 0.6


def test_numbers_from_an_array_of_candidates_can_be_saved(real, tmp_path):
    """GridSearchCV over np.arange gives numpy's numbers, which JSON does not take."""
    one = BinaryConnectClassifier(
        np.str_("mlp"), hidden=np.array([8]), epochs=np.int64(2), lr=np.float64(0.03), high=np.int32(63)
    )
    one.fit(*real).save(tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").provenance["settings"]["high"] == 63


BAD = {
    "float weights": ({"binarize": "none"}, "binarize is 'none', but float weights have no integer model"),
    "epochs": ({"epochs": 0}, "epochs is 0, but must be a whole number from 1"),
    "batch": ({"batch_size": 2.5}, "batch_size is 2.5, but must be a whole number"),
    "rate": ({"lr": -1}, "lr is -1, but must be a number above 0"),
    "smoothing": ({"label_smoothing": 1}, "label_smoothing is 1, but must be a number from 0 to below 1"),
    "sizes": ({"hidden": (8.5,)}, r"hidden is \(8.5,\), but must be N,N,..., each a whole number"),
    "no names": ({"augment": np.array(["none"])}, "augment is .*, but must be one of none, shift"),
    "seed": ({"random_state": -1}, "seed is -1, but must be a whole number from 0"),
    "fraction": ({"validation_fraction": 0.6}, "validation_fraction is 0.6, but must be above 0"),
    "name": ({"name": "no name"}, "model name 'no name'"),
    "shape": ({"input_shape": (2, 3, 1)}, "has 6 values, but X has 4 features"),
    "worths": ({"lsb": [1, 2]}, r"lsb has shape \(2,\), but must be a number or one for each of 4"),
    "worth 0": ({"lsb": 0}, "must be above 0"),
    "network": ({"model": "conv3x3:4, dense"}, "needs an image"),
    "hidden": ({"model": "logistic", "hidden": (3,)}, "no hidden layers to size"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused_by_fit(real, case):
    given, words = BAD[case]
    with pytest.raises(SignbitError, match=words) as caught:
        BinaryConnectClassifier(**given).fit(*real)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


def test_bad_labels_and_worths_of_bytes_are_refused(real):
    x, y = real
    with pytest.raises(SignbitError, match="must be 1 to 64 bytes long"):
        BinaryConnectClassifier().fit(x, np.array(["a" * 65, "b", "c"])[y])
    with pytest.raises(SignbitError, match="X is uint8 and used unchanged; leave out lsb"):
        BinaryConnectClassifier(lsb=1).fit(np.zeros((9, 2), np.uint8), np.arange(9) % 2)


def test_verbose_shows_progress_and_quiet_is_quiet(real, capsys):
    BinaryConnectClassifier(**SHORT).fit(*real)
    assert capsys.readouterr() == ("", "")
    BinaryConnectClassifier(**SHORT, verbose=True).fit(*real)
    assert capsys.readouterr().err.count("epoch ") == 3


# --- files


def test_export_and_save_hold_what_predicts(real, fitted, tmp_path):
    fitted.save(tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").hash == fitted.model_.hash
    fitted.export(tmp_path / "a.h", prefix="parts", target="cortex-m4", optimize="size")
    arguments = ["export", str(tmp_path / "m.npz"), "--prefix", "parts", "--target", "cortex-m4", "--optimize", "size"]
    assert run_command(codegen, [*arguments, "-o", str(tmp_path / "b.h")]) == 0
    assert (tmp_path / "a.h").read_bytes() == (tmp_path / "b.h").read_bytes()
    assert b"parts_quantize_input" in (tmp_path / "a.h").read_bytes()
    fitted.export(tmp_path / "c.h")
    assert b"classifier_predict" in (tmp_path / "c.h").read_bytes()


def test_generated_c_computes_what_predict_does(real, fitted):
    plan = make_plan(fitted.model_)
    assert verify(fitted.model_, plan, fitted.inputs(real[0]), Host()).equal
    assert verify_input(fitted.model_, plan, Host()).equal


def test_saved_model_is_verified_with_the_same_data(real, fitted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("parts.npz", x=real[0], y=real[1])
    fitted.save("m.npz")
    assert run_command(codegen, ["verify", "m.npz", "--data", "parts.npz"]) == 0
    assert capsys.readouterr().out.count("C == Python") == 3


@pytest.mark.parametrize("method", ["predict", "predict_proba", "counts", "inputs"])
def test_unfitted_estimator_says_so(method):
    with pytest.raises(NotFittedError):
        getattr(BinaryConnectClassifier(), method)(np.zeros((2, 2)))


def test_unfitted_estimator_writes_nothing(tmp_path):
    for method in ("export", "save"):
        with pytest.raises(NotFittedError):
            getattr(BinaryConnectClassifier(), method)(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_provenance_has_no_path_and_no_clock(fitted):
    record = fitted.model_.provenance
    assert record["estimator"] == "BinaryConnectClassifier" and "command" not in record
    assert record["settings"]["hidden"] == [16] and json.loads(json.dumps(record)) == record


def test_without_scikit_learn_the_extra_is_named(repository):
    program = "import sys; sys.modules['sklearn'] = None; from signbit.trainer import learning, estimator"
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: ") and 'pip install "signbit[sklearn]"' in last


# --- docs/ESTIMATOR.md


def test_documented_examples_print_what_they_say(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace, printed = {}, io.StringIO()
    parts = blocks((repository / "docs" / "ESTIMATOR.md").read_text(), "python", "text")
    assert len(parts) == 8
    for language, content in parts:
        if language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(content, namespace)
        else:
            assert printed.getvalue() == content
    assert b"digits_predict" in (tmp_path / "digits.h").read_bytes()


def test_every_setting_is_a_parameter_with_its_help():
    """What the trainer's options are declared by is all that the estimator needs."""
    parameters = inspect.signature(BinaryConnectClassifier).parameters
    for name, declared in Settings.declared().items():
        if name in ("data", "seed"):
            continue
        assert parameters[name].default == Settings.defaults().get(name)
        assert (parameters[name].kind is inspect.Parameter.KEYWORD_ONLY) == (name not in ("model", "hidden"))
        told = " ".join(BinaryConnectClassifier.__doc__.split())
        assert f"`{name}` {declared.help}" in told
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        BinaryConnectClassifier(epoch=3)


def test_every_parameter_is_documented(repository):
    text = (repository / "docs" / "ESTIMATOR.md").read_text()
    assert [name for name in BinaryConnectClassifier().get_params() if f"`{name}`" not in text] == []


def test_refused_rows_get_a_label_of_their_own(real, tmp_path):
    X, y = real
    classifier = BinaryConnectClassifier(hidden=(16,), epochs=4, reject=0.1).fit(X, y)
    decided = classifier.model_.decide(classifier.model_.run(classifier.inputs(X)))
    refused = decided < 0
    assert 0 < refused.sum() < len(X) / 2
    assert np.array_equal(classifier.predict_or_reject(X), np.where(refused, -1, classifier.predict(X)))
    named = BinaryConnectClassifier(hidden=(16,), epochs=4, reject=0.1).fit(X, np.array(["no", "yes", "so"])[y % 3])
    assert set(named.predict_or_reject(X, "unknown")) <= {"no", "yes", "so", "unknown"}
    record = classifier.model_.provenance["reject"]
    assert record["rate"] == 0.1 and set(record["accepted"]) == {"validation"}
    with pytest.raises(SignbitError, match="fitted without a reject"):
        BinaryConnectClassifier(hidden=(16,), epochs=1).fit(X, y).predict_or_reject(X)
