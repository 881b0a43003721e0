"""From sensor counts to inputs: the formula, how it is chosen, its place in the model file, and the generated C."""

import dataclasses
import math
import shutil
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.host import Host
from signbit.codegen.plan import make_plan
from signbit.codegen.program import Reads
from signbit.codegen.render import header_text
from signbit.codegen.verify import count_sweep, verify, verify_input
from signbit.emulate.machines import CORES
from signbit.qmodel import file
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import (
    Affine,
    Pieces,
    Thermometer,
    fit,
    fit_affine,
    fit_pieces,
    fit_thermometer,
)
from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.qmodel.value import Encoding
from tests.c_programs import plans_for
from tests.test_host_c import BUILDS
from tests.test_model_file import header_change, npy, rewrite
from tools.cores import emulated as cores
from tools.networks.random import (
    quantizations_for,
    random_affine,
    random_model,
    random_network,
    random_pieces,
    random_thermometer,
    with_counts,
)

FIXTURE = "tests/fixtures/version1_counts.npz"
FIXTURE_HASH = "af6dfe1ce7d8953a065733b40b1047f002023880786dcbf73cf7fe6cb2aa5171"
FIXTURE_INPUTS = [
    0,
    0,
    0,
    0,
    0,
    0,
    12,
    0,
    0,
    27,
    0,
    0,
    41,
    0,
    0,
    56,
    0,
    0,
    70,
    0,
    0,
    84,
    0,
    0,
    99,
    0,
    0,
    113,
    0,
    0,
    127,
    192,
    10,
    142,
    255,
    25,
    156,
    255,
    40,
    170,
    255,
    56,
    185,
    255,
    71,
    199,
    255,
    87,
    214,
    255,
    102,
    228,
    255,
    117,
    242,
    255,
    133,
    255,
    255,
    148,
]
ALL_COUNTS = np.arange(INT16_MIN, INT16_MAX + 1).astype(np.int16)
MODELS_A_PROGRAM = 24
COUNTS_A_MODEL = 32


@pytest.fixture
def model():
    return with_counts(random_model(1, (40, 6, 3)), 1)


def quantization(multiplier, bias, shift) -> Affine:
    return Affine(np.array(multiplier, np.int16), np.array(bias, np.int32), shift)


@given(st.integers(0, 2**32 - 1), st.integers(INT16_MIN, INT16_MAX))
def test_formula_is_the_exact_one(seed, count):
    chosen = random_affine(seed, 3)
    found = chosen.run(np.full((1, 3), count, np.int16))[0]
    for channel in range(3):
        product = count * int(chosen.multiplier[channel]) + int(chosen.bias[channel])
        assert found[channel] == min(max(floor(Fraction(product, 2**chosen.shift)), 0), 255)


def test_training_values_fill_the_range_and_the_rest_is_clipped():
    counts = np.stack([np.arange(-1000, 1001), np.arange(0, 20_001, 10)], axis=1).astype(np.int16)
    inputs = fit_affine(counts).run(counts)
    # one in a thousand is left out at either end: the last two of 2,001
    assert inputs[:3].max() <= 1 and inputs[-3:].min() >= 254
    assert (np.abs(inputs.astype(float) - np.linspace(0, 255, 2001)[:, None]) < 1.5).all()
    assert fit_affine(counts).run(np.array([[INT16_MIN, INT16_MIN], [INT16_MAX, INT16_MAX]], np.int16)).tolist() == [
        [0, 0],
        [255, 255],
    ]


def test_outliers_do_not_set_the_range():
    counts = np.tile(np.arange(100, dtype=np.int16), 50)[:, None]
    spoilt = counts.copy()
    spoilt[::2500] = 32_000
    assert np.array_equal(fit_affine(counts).multiplier, fit_affine(spoilt).multiplier)


def test_constant_channel_is_in_the_middle_and_a_narrow_one_leaves_the_others_their_bits():
    wide = np.linspace(-30_000, 30_000, 500).astype(np.int16)
    counts = np.stack([np.full(500, 7, np.int16), np.arange(500).astype(np.int16) % 2, wide], axis=1)
    chosen = fit_affine(counts)
    inputs = chosen.run(counts)
    assert set(inputs[:, 0]) == {128}
    assert inputs[inputs[:, 1].argmax(), 1] > inputs[inputs[:, 1].argmin(), 1]
    assert chosen.multiplier[2] >= 15 and np.ptp(inputs[:, 2].astype(int)) > 240


@given(st.integers(0, 2**32 - 1))
def test_any_training_values_give_a_quantization_that_is_proved(seed):
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.integers(INT16_MIN, INT16_MAX + 1, (2, 4)) >> rng.integers(0, 16, 4), axis=0)
    counts = rng.integers(low, high + 1, (int(rng.integers(1, 50)), 4)).astype(np.int16)
    chosen = fit_affine(counts)
    chosen.check()
    exact = np.array([[INT16_MIN], [INT16_MAX]]) * chosen.multiplier.astype(object) + chosen.bias.astype(object)
    assert chosen.range == (exact.min(), exact.max())


# --- thresholds and pieces


@given(st.integers(0, 2**32 - 1), st.integers(INT16_MIN, INT16_MAX))
def test_a_bit_is_a_comparison(seed, count):
    chosen = random_thermometer(seed, 1 + seed % 40)
    bits = chosen.run(np.full((1, chosen.channels), count, np.int16))[0]
    assert bits.tolist() == [1 if count >= threshold else -1 for threshold in chosen.thresholds.tolist()]


@given(st.integers(0, 2**32 - 1), st.integers(INT16_MIN, INT16_MAX))
def test_a_piece_is_a_line_from_knot_to_knot(seed, count):
    chosen = random_pieces(seed, 3)
    found = chosen.run(np.full((1, 3), count, np.int16))[0]
    for channel in range(3):
        knots = chosen.knots[channel].tolist()
        held = min(max(count, knots[0]), knots[-1])
        filled = [piece for piece in range(chosen.pieces) if knots[piece] < knots[piece + 1]]
        piece = max([p for p in filled if knots[p] <= held], default=filled[0] if filled else None)
        if piece is None:
            assert found[channel] == 0
            continue
        low, high = (255 * end // chosen.pieces for end in (piece, piece + 1))
        slope = ((high - low) << chosen.SHIFT) // (knots[piece + 1] - knots[piece])
        assert found[channel] == low + floor(Fraction((held - knots[piece]) * slope, 2**chosen.SHIFT) + Fraction(1, 2))


@given(st.integers(0, 2**32 - 1))
def test_inputs_never_fall_while_counts_rise(seed):
    swept = np.repeat(ALL_COUNTS[::7, None], 3, axis=1)
    assert (np.diff(random_pieces(seed, 3).run(swept).astype(int), axis=0) >= 0).all()


def test_without_a_number_there_are_8_pieces_and_15_thresholds():
    counts = np.random.default_rng(0).integers(-9000, 9000, (500, 2)).astype(np.int16)
    assert fit("pieces", counts).pieces == 8
    assert fit("thermometer", counts).counts.tolist() == [15, 15]
    assert (fit("pieces:3", counts).pieces, fit("thermometer:3", counts).counts.tolist()) == (3, [3, 3])


def test_knots_are_the_quantiles_from_the_lowest_value_to_the_highest():
    six = np.array([[30], [0], [20], [10], [50], [40]], np.int16)
    assert fit_pieces(six, 5).knots.tolist() == [[0, 10, 20, 30, 40, 50]]
    assert fit_pieces(np.arange(11, dtype=np.int16)[:, None], 5).knots.tolist() == [[0, 2, 4, 6, 8, 10]]


@pytest.mark.parametrize(("count", "ends"), [(1000, (-30_000, 30_000)), (1001, (-1, 1))])
def test_one_in_a_thousand_values_at_either_end_is_an_outlier(count, ends):
    counts = np.zeros((count, 1), np.int16)
    counts[:4, 0] = -30_000, 30_000, -1, 1
    wanted = fit_affine(np.array([[ends[0]], [ends[1]]], np.int16))
    for found in (fit_affine(counts), fit_affine(counts, np.ones(count, np.int64))):
        assert (found.multiplier, found.bias, found.shift) == (wanted.multiplier, wanted.bias, wanted.shift)


def test_the_network_reads_a_bit_for_each_threshold():
    counts = np.array([[1, 5], [2, 6], [3, 7], [9, 5]], np.int16)
    quantization = fit_thermometer(counts, 2)
    value = quantization.value((4, 1, 2))
    assert (value.shape, value.encoding, value.low, value.high) == ((4, 1, 4), Encoding.BIT, -1, 1)
    assert set(np.unique(quantization.run(counts))) == {-1, 1}


def test_pieces_are_equally_full():
    counts = (np.random.default_rng(0).exponential(300, (4000, 2))).astype(np.int16)
    inputs = fit_pieces(counts, 8).run(counts)
    parts = np.stack([np.bincount(column // 32, minlength=8) for column in inputs.T])
    assert (np.abs(parts - 500) < 60).all()


def test_thresholds_are_quantiles_or_all_the_boundaries_there_are():
    rng = np.random.default_rng(0)
    few = rng.choice([-5, 3, 9, 1000], 3000, p=[0.9, 0.05, 0.03, 0.02])
    many = rng.normal(0, 4000, 3000)
    same = np.full(3000, 7)
    chosen = fit_thermometer(np.stack([few, many, same], axis=1).astype(np.int16), 7)
    assert chosen.counts.tolist() == [3, 7, 0]
    assert chosen.thresholds[:3].tolist() == [3, 9, 1000]
    shares = [(many.astype(np.int16) < threshold).mean() for threshold in chosen.thresholds[3:]]
    assert np.allclose(shares, np.arange(1, 8) / 8, atol=0.002)


def test_saturated_values_take_one_threshold_and_leave_the_others_to_the_rest():
    """Half of a distance sensor's readings are its largest one."""
    rng = np.random.default_rng(0)
    counts = np.minimum(rng.integers(0, 10_000, (2000, 1)), 5000).astype(np.int16)
    chosen = fit_thermometer(counts, 15)
    assert chosen.thresholds[-1] == 5000 and len(chosen.thresholds) == 8


def test_a_table_that_never_changes_has_nothing_to_compare():
    with pytest.raises(SignbitError, match="no column changes"):
        fit_thermometer(np.full((30, 2), 4, np.int16), 15)


BAD = {
    "other channels": (quantization([1], [0], 8), r"gives \(1,\), but the model takes \(40,\)"),
    "shift 0": (quantization([1] * 40, [0] * 40, 0), "shift is 0"),
    "shift 31": (quantization([1] * 40, [0] * 40, 31), "shift is 31"),
    "too high": (quantization([32_767] * 40, [2**31 - 1] * 40, 8), "can reach 3221159936, which int32 does not hold"),
    "too low": (quantization([-32_768] * 40, [-(2**31)] * 40, 8), "can reach -3221192704"),
}


@pytest.mark.parametrize("case", BAD)
def test_quantization_that_can_not_be_is_refused(model, case):
    chosen, words = BAD[case]
    with pytest.raises(SignbitError, match=words):
        dataclasses.replace(model, input_quantization=chosen).validate()


def test_model_makes_inputs_of_counts_of_its_shape(model):
    counts = count_sweep(model)[:5]
    assert model.quantize_input(counts).dtype == np.uint8 and model.quantize_input(counts).shape == counts.shape
    with pytest.raises(SignbitError, match="counts are int32"):
        model.quantize_input(counts.astype(np.int32))
    with pytest.raises(SignbitError, match="counts have shape"):
        model.quantize_input(counts[:, :39])
    with pytest.raises(SignbitError, match="takes bytes as they come"):
        dataclasses.replace(model, input_quantization=None).quantize_input(counts)


def test_sweep_takes_every_channel_through_every_count():
    model = with_counts(random_network(7), 7)
    swept = count_sweep(model).reshape(-1, model.input_shape[-1])
    assert all(np.array_equal(np.unique(swept[:, channel]), ALL_COUNTS) for channel in range(model.input_shape[-1]))


# --- the model file


def test_file_keeps_it_and_a_file_without_it_is_as_ever(model):
    plain = dataclasses.replace(model, input_quantization=None)
    again = file.from_bytes(file.to_bytes(model))
    assert again.hash == model.hash and np.array_equal(again.input_quantization.bias, model.input_quantization.bias)
    assert file.from_bytes(file.to_bytes(plain)).input_quantization is None
    assert plain.hash == random_model(1, (40, 6, 3)).hash


def test_hash_covers_it(model):
    chosen = model.input_quantization
    for change in (
        {"shift": chosen.shift - 1 or 2},
        {"bias": chosen.bias ^ np.int32(1)},
        {"multiplier": chosen.multiplier ^ np.int16(1)},
    ):
        other = dataclasses.replace(model, input_quantization=dataclasses.replace(chosen, **change))
        assert other.hash != model.hash
    assert dataclasses.replace(model, input_quantization=None).hash != model.hash


BAD_FILES = {
    "no arrays": ({"drop": ["input.bias.npy"]}, "'input.bias' is missing"),
    "key missing": ({"change_header": lambda header: header.pop("input_quantization")}, "is not one"),
    "other dtype": ({"replace": {"input.bias.npy": npy(np.zeros(40))}}, "int32"),
    "other shape": ({"replace": {"input.bias.npy": npy(np.zeros(39, np.int32))}}, "int32"),
    "shift 31": ({"change_header": header_change(input_quantization={"shift": 31})}, "shift is 31"),
    "no object": ({"change_header": header_change(input_quantization=8)}, "must be an object"),
    "another key": ({"change_header": header_change(input_quantization={"shift": 8, "x": 1})}, "must be an object"),
    "could overflow": (
        {"replace": {"input.bias.npy": npy(np.full(40, 2**31 - 1, np.int32))}},
        "int32 does not hold",
    ),
    "other values": ({"replace": {"input.multiplier.npy": npy(np.zeros(40, np.int16))}}, "hash does not fit"),
    "no shape": ({"change_header": header_change(input_shape=[])}, "not one a signbit model file has"),
    "negative shape": ({"change_header": header_change(input_shape=[-40])}, "not one a signbit model file has"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_with_one_clear_line(model, case):
    change, words = BAD_FILES[case]
    with pytest.raises(SignbitError, match=words) as caught:
        file.from_bytes(rewrite(file.to_bytes(model), **change))
    assert "\n" not in str(caught.value)


def _of_kind(kind):
    return with_counts(dataclasses.replace(random_model(1, (40, 6, 3)), input_shift=0), 5, kind)


@pytest.mark.parametrize("kind", [Pieces, Thermometer])
def test_other_kinds_are_a_part_of_version_2(kind):
    model = _of_kind(kind)
    again = file.from_bytes(file.to_bytes(model))
    assert again.hash == model.hash and again.parts == ("input_kinds",)
    counts = count_sweep(model)[::500]
    assert np.array_equal(again.quantize_input(counts), model.quantize_input(counts))
    with pytest.raises(SignbitError, match="newer signbit: part 'x'"):
        file.from_bytes(rewrite(file.to_bytes(model), change_header=header_change(parts=["x"])))


def _flipped(model, name):
    values = getattr(model.input_quantization, name)
    return {"replace": {f"input.{name}.npy": npy(np.ascontiguousarray(values[..., ::-1]))}}


def _without_last_bit(model):
    return {"replace": {"input.thresholds.npy": npy(model.input_quantization.thresholds[:-1])}}


def _with_other_counts(model):
    return {"replace": {"input.counts.npy": npy(model.input_quantization.counts + np.uint8(1))}}


def _with_settings(**settings):
    return lambda model: {"change_header": header_change(input_quantization=settings)}


BAD_KINDS = {
    "unknown kind": (Pieces, _with_settings(kind="x"), "'x' is unknown"),
    "a key too many": (Pieces, _with_settings(kind="pieces", pieces=4, x=1), "keys kind, pieces and no others"),
    "no pieces": (Pieces, _with_settings(kind="pieces", pieces=0), "pieces"),
    "falling knots": (Pieces, lambda model: _flipped(model, "knots"), "must not fall"),
    "falling thresholds": (Thermometer, lambda model: _flipped(model, "thresholds"), "must rise"),
    "a threshold too few": (Thermometer, _without_last_bit, "int16"),
    "other counts": (Thermometer, _with_other_counts, "as many as its counts"),
}


@pytest.mark.parametrize("case", BAD_KINDS)
def test_bad_file_of_another_kind_is_refused(case):
    kind, change, words = BAD_KINDS[case]
    model = _of_kind(kind)
    with pytest.raises(SignbitError, match=words) as caught:
        file.from_bytes(rewrite(file.to_bytes(model), **change(model)))
    assert "\n" not in str(caught.value)


def test_version_1_with_counts_stays_readable(repository):
    model = file.load(repository / FIXTURE)
    assert model.hash == FIXTURE_HASH
    counts = (np.arange(model.input_size) * 600 - 18_000).astype(np.int16)[None]
    assert model.quantize_input(counts)[0].tolist() == FIXTURE_INPUTS


# --- the generated C


def test_header_has_the_function_only_for_counts(model):
    assert "random_quantize_input(const int16_t counts[RANDOM_COUNTS_SIZE]" in header_text(make_plan(model))
    plain = header_text(make_plan(dataclasses.replace(model, input_quantization=None)))
    assert "quantize_input" not in plain


def _small_model(rng):
    """A vector, a window or an image of counts, and as little after it as a model can have."""
    axes = int(rng.integers(1, 4))
    shape = (int(rng.integers(1, 20)), 1, int(rng.integers(1, 20)))[-axes:]
    model = dataclasses.replace(random_model(1, (int(np.prod(shape)), 2)), input_shape=shape, input_shift=0)
    kind = (Affine, Pieces, Thermometer)[int(rng.integers(3))]
    return with_counts(model, int(rng.integers(2**32)), kind)


def _material(seed: int):
    """Models, extreme and random counts of every channel for each, and the inputs that they become."""
    rng = np.random.default_rng(seed)
    models = [_small_model(rng) for _ in range(MODELS_A_PROGRAM)]
    sweeps = [count_sweep(model) for model in models]
    counts = [np.concatenate([sweep[:1], sweep[-1:], rng.choice(sweep, COUNTS_A_MODEL - 2)]) for sweep in sweeps]
    expected = b"".join(m.quantize_input(c).tobytes() for m, c in zip(models, counts, strict=True))
    return models, counts, expected


@pytest.mark.parametrize("build", BUILDS)
def test_random_models_make_the_same_inputs(build):
    """Every compiler and dialect, with sanitizers too."""
    command, suffix = BUILDS[build]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed (apt install gcc g++ clang)")
    models, counts, expected = _material(list(BUILDS).index(build))
    assert Host(command, (), suffix=suffix).run(plans_for(models), counts, Reads.COUNTS) == expected


@pytest.mark.parametrize("core", CORES)
def test_random_models_make_the_same_inputs_on_each_core(core):
    if cores.missing([core]):
        pytest.skip(cores.missing([core]))
    models, counts, expected = _material(len(BUILDS) + list(CORES).index(core))
    plans = plans_for(models, target=CORES[core].target.name)
    assert cores.run(plans, counts, core, reads=Reads.COUNTS).output == expected


@pytest.mark.parametrize("kind", [Affine, Pieces, Thermometer])
@pytest.mark.parametrize("seed", range(3))
def test_verify_goes_through_every_count(seed, kind):
    network = random_network(seed)
    model = with_counts(network if kind in quantizations_for(network) else random_model(seed, (30, 5)), seed, kind)
    result = verify_input(model, make_plan(model), Host())
    assert result.equal, result.first
    assert result.inputs * math.prod(model.counts_shape[:-1]) >= 65_536


def test_verify_compares_networks_of_one_bit_inputs():
    """From a caller's bytes of any alignment, with bits set after the last one."""
    networks = [network for network in map(random_network, range(40)) if Thermometer in quantizations_for(network)]
    assert len(networks) > 10
    for seed, network in enumerate(networks[:8]):
        model = with_counts(network, seed, Thermometer)
        inputs = np.random.default_rng(seed).integers(0, 256, (20, model.input_size), dtype=np.uint8)
        result = verify(model, make_plan(model), inputs, Host())
        assert result.equal, result.first


def test_one_wrong_bias_is_found(model):
    chosen = model.input_quantization
    wrong = chosen.bias.copy()
    # the channel whose value changes soonest
    wrong[17] += np.int32(1 << chosen.shift) if wrong[17] < 0 else -np.int32(1 << chosen.shift)
    other = dataclasses.replace(model, input_quantization=dataclasses.replace(chosen, bias=wrong))
    result = verify_input(model, make_plan(other), Host())
    assert not result.equal and "value 17: C" in result.first


def test_verify_command_says_that_counts_were_compared(tmp_path, capsys):
    model = with_counts(dataclasses.replace(random_model(1, (64, 6, 10)), input_shape=(8, 8, 1)), 3)
    file.save(model, tmp_path / "digits.npz")
    assert run_command(codegen, ["verify", str(tmp_path / "digits.npz"), "--data", "digits"]) == 0
    assert "sensor counts to inputs: 1,024 inputs, 65,536 values compared, C == Python" in capsys.readouterr().out
