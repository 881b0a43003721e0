"""From samples to features: the integers against real numbers, their ranges, the model file, and the generated C."""

import dataclasses
import json
import shutil
import subprocess
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signbit.codegen.choose import Limits
from signbit.codegen.code_size import front_end_bytes, predicted_code_bytes
from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.host import FLAGS, Host, find_compiler
from signbit.codegen.measure import assembly_stack_bytes, measure, missing
from signbit.codegen.plan import make_plan
from signbit.codegen.program import STREAM_HERE
from signbit.codegen.render import header_text
from signbit.codegen.verify import compare_all, edge_samples, verify, verify_stream
from signbit.emulate.machines import CORES
from signbit.qmodel import file, spectrum
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import KINDS, STATISTICS, STEPS_MAX, Spectrum, make
from signbit.qmodel.integer import INT16_MAX, INT16_MIN, INT32_MAX
from signbit.qmodel.spectrum import FRAME_MAX, FRAME_MIN
from tests.c_programs import plans_for, run_here
from tests.test_header_text import faults
from tests.test_host_c import BUILDS
from tests.test_model_file import header_change, npy, rewrite
from tools.cores import emulated
from tools.networks.random import FRONT_ENDS, front_end_model

FRAMES = [1 << bits for bits in range(FRAME_MIN.bit_length() - 1, FRAME_MAX.bit_length())]
EXTREME = st.sampled_from([INT16_MIN, INT16_MAX, 0, 1, -1])
SANITIZED = (*FLAGS, "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FRAMES_OF_CORES = [(core, frame) for core in ("m4", "m7", "m33") for frame in (256, 512)]
FRAMES_OF_CORES += [("m55", frame) for frame in FRAMES]
"""Cores whose front ends are not plain C, and frames whose powers are compared there."""
BUILDS_TRIED = ("gcc c99 -Os", "clang c11 sanitized", "g++ c++98")


@pytest.fixture(params=range(len(FRONT_ENDS)), ids=[text for text, _, _ in FRONT_ENDS])
def model(request):
    return front_end_model(request.param, *FRONT_ENDS[request.param])


# --- the integers


@pytest.mark.parametrize("frame", FRAMES)
def test_tables_do_not_depend_on_the_last_bits_of_a_cosine(frame):
    real = 32767 * np.cos(2 * np.pi * np.arange(frame) / frame)
    assert np.array_equal(spectrum.cosines(frame), np.rint(real))
    assert np.abs(np.abs(real - np.floor(real)) - 0.5).min() > 1e-6


@pytest.mark.parametrize("steps", range(1, 33))
def test_logarithms_do_not_depend_on_their_last_bits(steps):
    real = steps * np.log2(1 + (np.arange(64) + 0.5) / 64)
    assert np.abs(np.abs(real - np.floor(real)) - 0.5).min() > 1e-6


@pytest.mark.parametrize("frame", FRAMES)
def test_powers_are_those_of_a_real_fourier_transform(frame):
    rng = np.random.default_rng(frame)
    frames = np.clip(np.rint(rng.normal(0, 2.0 ** rng.uniform(5, 14, (200, 1)), (200, frame))), INT16_MIN, INT16_MAX)
    power, exponent = spectrum.power(frames.astype(np.int16))
    hann = np.sin(np.pi * np.arange(frame) / frame) ** 2
    real = np.abs(np.fft.rfft((frames - np.floor(frames.mean(axis=1, keepdims=True))) * hann)[:, 1:-1])
    error = np.sqrt(power * 4.0 ** exponent[:, None]) - real
    # 60 dB below the signal: the points have 12 bits
    assert np.sqrt((error**2).sum(axis=1) / (real**2).sum(axis=1)).max() < 2e-3


@pytest.mark.parametrize("frame", FRAMES)
@given(data=st.data())
def test_no_extreme_leaves_its_range(frame, data):
    """Periodic, single and constant extremes: parts of points in int16, products and sums in int32."""
    period = data.draw(st.lists(EXTREME, min_size=1, max_size=frame))
    samples = np.resize(np.array(period, np.int16), frame)[None]
    re, im, _ = spectrum._windowed(samples, spectrum.cosines(frame))
    assert max(np.abs(re).max(), np.abs(im).max()) <= 1 << spectrum.PASS_BITS
    deviation = samples.astype(object) - int(np.floor(samples.mean()))
    largest = max(abs(int(value)) for value in deviation.ravel()) * 32767 + (1 << 19)
    assert largest <= INT32_MAX
    power, exponent = spectrum.power(samples)
    assert power.min() >= 0 and power.max() <= spectrum.POWER_MAX
    assert spectrum.POWER_MAX < 1 << 30
    assert -INT16_MAX <= exponent[0] <= 32


@given(st.integers(0, 2**32 - 1))
def test_points_stay_in_int16_through_every_pass(seed):
    """From points of the largest size that a shift leaves, in any directions."""
    rng = np.random.default_rng(seed)
    frame = int(rng.choice(FRAMES))
    ends = [-(1 << spectrum.PASS_BITS), 1 << spectrum.PASS_BITS]
    re, im = (rng.choice([*ends, 0], (4, frame // 2)).astype(np.int32) for _ in range(2))
    quarter = 2 if spectrum.reversed_bits(frame // 2).size.bit_length() % 2 == 0 else 1
    for new in (*spectrum._pass_of_two(re, im), *spectrum._pass_of_four(re, im, quarter, spectrum.cosines(frame))):
        assert new.min() >= INT16_MIN and new.max() <= INT16_MAX
    ends = [-(1 << spectrum.SPLIT_BITS), 1 << spectrum.SPLIT_BITS]
    re, im = (rng.choice(ends, (4, frame // 2)).astype(np.int32) for _ in range(2))
    assert spectrum._split(re, im, spectrum.cosines(frame)).max() <= spectrum.POWER_MAX


def test_a_file_says_at_most_as_many_frequencies_as_the_largest_frame_has():
    assert Spectrum.entries({"bands": 1, "frequencies": FRAME_MAX // 2})["rising"] == ("uint8", (FRAME_MAX // 2,))
    with pytest.raises(SignbitError, match="frequencies"):
        Spectrum.entries({"bands": 1, "frequencies": FRAME_MAX // 2 + 1})


def test_a_band_of_all_frequencies_fits_32_bits():
    """The widest frame in one band, at the largest power that there is."""
    front_end = make(f"spectrum:frame={FRAME_MAX},bands=1", (FRAME_MAX, 1, 1), None)
    widest = dataclasses.replace(front_end, rising=np.full(FRAME_MAX // 2 - 1, 128, np.uint8))
    widest.check()
    sums = widest.weights.sum(axis=0) * np.array([[0xFFFF], [spectrum.POWER_MAX >> 16]])
    assert sums.max() + 0xFFFF < 1 << 32


@pytest.mark.parametrize("frame", [32, 1024])
def test_no_frames_have_no_powers(frame):
    powers, exponents = spectrum.power(np.empty((0, frame), np.int16))
    assert powers.shape == (0, frame // 2 - 1) and exponents.shape == (0,)


def test_silence_and_a_constant_are_no_sound():
    front_end = make("logmel", (1600, 1, 1), 16_000)
    for level in (0, 7, INT16_MIN, INT16_MAX):
        assert not front_end.run(np.full((1, 1600, 1, 1), level, np.int16)).any()


@pytest.mark.parametrize("name", ["spectrum:frame=64", "spectrum:frame=256,steps=32", "logmel:frame=512,steps=16"])
def test_a_tone_of_full_scale_is_near_the_highest_level(name):
    """Less than an octave of power below it, and not beyond, where all would be cut off."""
    front_end = make(name, (1024, 1, 1), 16_000)
    number = np.arange(front_end.frame // 8, front_end.frame // 4)
    tones = np.sin(2 * np.pi * number[:, None] / front_end.frame * np.arange(1024))
    loud, half = (
        int(front_end.run(np.rint(a * tones).astype(np.int16)[..., None, None]).max()) for a in (32_767, 16_384)
    )
    assert 255 - front_end.steps < loud <= 255 and abs(loud - half - 2 * front_end.steps) <= 1


def test_a_tone_is_in_its_band_at_any_loudness():
    front_end = make("logmel", (1600, 1, 1), 16_000)
    tone = np.sin(2 * np.pi * 1000 / 16_000 * np.arange(1600))
    levels = [front_end.run(np.rint(a * tone).astype(np.int16)[None, :, None, None])[0, 1, 0] for a in (32_767, 2048)]
    assert {int(level.argmax()) for level in levels} == {12} and 240 <= levels[0].max() <= 255
    # 16 times the amplitude are 8 octaves of power, of 8 steps each
    assert abs(int(levels[0].max()) - int(levels[1].max()) - 64) <= 1


def test_bands_are_near_those_of_real_numbers():
    rng = np.random.default_rng(1)
    front_end = make("logmel", (16_000, 1, 1), 16_000)
    samples = np.rint(np.cumsum(rng.normal(0, 100, (2, 16_000)), axis=1) % 9000 - 4500).astype(np.int16)
    found = front_end.run(samples[:, :, None, None])[:, :, 0].astype(float)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 512, axis=1)[:, ::320]
    spectra = np.fft.rfft((frames - frames.mean(axis=-1, keepdims=True)) * np.sin(np.pi * np.arange(512) / 512) ** 2)
    power = (np.abs(spectra[..., 1:-1]) ** 2) @ front_end.weights
    real = np.clip(8 * np.log2(np.maximum(power, 1)) - front_end.offset, 0, 255)
    assert np.mean(np.abs(found - real) <= 1) > 0.9 and np.abs(found - real).max() < 4


def test_statistics_are_those_of_the_window():
    front_end = make("stats:bands=2", (200, 1, 2), None)
    samples = np.random.default_rng(0).normal(-300, 2000, (3, 200, 1, 2)).astype(np.int16)
    found = front_end.run(samples).reshape(3, 2, STATISTICS + 2)
    for window in range(3):
        for channel in range(2):
            x = samples[window, :, 0, channel].astype(int)
            mean = sum(x.tolist()) // 200
            d = x - mean
            assert found[window, channel, 0] == mean and found[window, channel, 1] == np.abs(d).sum() // 200
            assert abs(found[window, channel, 2] - 32 * np.log2((d * d).sum())) < 1
            assert found[window, channel, 3] == np.count_nonzero((d[1:] < 0) != (d[:-1] < 0))


def test_each_channel_has_features_of_its_own():
    samples = np.random.default_rng(0).normal(0, 3000, (2, 256, 1, 3)).astype(np.int16)
    for kind in ("spectrum", "stats"):
        whole = make(kind, (256, 1, 3), None)
        single = make(kind, (256, 1, 1), None)
        found = whole.run(samples).reshape(2, -1, 3, whole.features_shape[-1] // 3)
        for channel in range(3):
            assert np.array_equal(
                found[:, :, channel].reshape(2, -1), single.run(samples[..., channel : channel + 1]).reshape(2, -1)
            )


REFUSED = {
    "logmel": ((256, 1, 1), None, "rate=16000"),
    "spectrum:frame=512": ((256, 1, 1), None, "at most the 256"),
    "spectrum:frame=48": ((256, 1, 1), None, "power of two"),
    "spectrum:bands=100": ((256, 1, 1), None, "can distinguish"),
    "stats": ((20, 1, 1), None, "longer windows"),
    "logmel:rate=16000": ((28, 28, 1), None, "see --window"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_front_end_that_does_not_fit_is_refused(text):
    shape, rate_hz, words = REFUSED[text]
    with pytest.raises(SignbitError, match=words):
        make(text, shape, rate_hz)


# --- the model file


def test_file_and_hash_hold_it(model):
    again = file.from_bytes(file.to_bytes(model))
    samples = edge_samples(model)
    assert again.hash == model.hash and "front_end" in again.parts
    assert np.array_equal(again.inputs_from(samples), model.inputs_from(samples))
    assert dataclasses.replace(model, front_end=None).hash != model.hash
    assert dataclasses.replace(model.front_end, offset=1).settings() != model.front_end.settings()


def _changed(**settings):
    return lambda model: {"change_header": header_change(front_end={**model.front_end.settings(), **settings})}


BAD_FILES = {
    "a key too many": (_changed(x=1), "and no others"),
    "unknown kind": (_changed(kind="x"), "'x' is unknown"),
    "frame": (_changed(frame=48), "power of two"),
    "frame of another length": (_changed(frame=32), "do not fit its frame"),
    "hop": (_changed(hop=0), "hop"),
    "other rows": (_changed(rows=700), "gives"),
    "number of bands": (_changed(bands=129), "bands"),
    "weights": (
        lambda model: {"replace": {"front_end.rising.npy": npy(np.full_like(model.front_end.rising, 129))}},
        "at most 128",
    ),
    "missing array": (lambda model: {"drop": ["front_end.sizes.npy"]}, "is missing"),
    "other offset": (_changed(offset=3), "hash does not fit"),
    "no part": (lambda model: {"change_header": header_change(parts=[])}, "names the parts"),
    "no object": (lambda model: {"change_header": header_change(front_end=3)}, "must be an object"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_with_one_clear_line(case):
    change, words = BAD_FILES[case]
    model = front_end_model(0, "spectrum", (128, 1, 2), None)
    with pytest.raises(SignbitError, match=words) as caught:
        file.from_bytes(rewrite(file.to_bytes(model), **change(model)))
    assert "\n" not in str(caught.value)


def test_quantization_belongs_to_statistics_alone():
    bytes_only, counts = (front_end_model(0, kind, (128, 1, 2), None) for kind in KINDS)
    for model, other in ((bytes_only, counts), (counts, bytes_only)):
        with pytest.raises(SignbitError, match="belongs to a front end of kind stats"):
            dataclasses.replace(model, input_quantization=other.input_quantization).validate()


# --- the generated C


@pytest.mark.parametrize("build", BUILDS_TRIED)
def test_c_gives_the_features_of_python(build):
    command, suffix = BUILDS[build]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed (apt install gcc g++ clang)")
    models = [front_end_model(seed, *chosen) for seed, chosen in enumerate(FRONT_ENDS)]
    inputs = [edge_samples(model, seed) for seed, model in enumerate(models)]
    results = run_here(models, plans_for(models), inputs, command, suffix)
    assert [result.first for result in results if not result.equal] == []


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_plain_c_beside_dsp_and_helium_agrees(target):
    command, suffix = BUILDS["gcc c99 -Os"]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed (apt install gcc)")
    models = [front_end_model(seed, *chosen) for seed, chosen in enumerate(FRONT_ENDS)]
    plans = plans_for(models, target=target)
    inputs = [edge_samples(model, seed) for seed, model in enumerate(models)]
    portable = [f"-D{plan.macro_prefix}_PORTABLE" for plan in plans]
    results = run_here(models, plans, inputs, [*command, *portable], suffix)
    assert [result.first for result in results if not result.equal] == []


POWERS = """
#define M_IMPLEMENTATION
#include "m.h"
#include "stream.h"
int main(void)
{
    static int16_t samples[%(frame)d];
    static uint32_t points[%(points)d];
    int number;
    stream_open();
    for (number = 0; number < %(count)d; number++) {
        stream_read(samples, sizeof samples);
        points[0] = (uint32_t)m_spectrum(samples, points);
        stream_write(points, sizeof points);
    }
    stream_close();
    return 0;
}
"""


def powers_program(folder, frame: int, count: int, target: str):
    """A program that reads so many frames and writes the exponent and the powers of each, and what it has to give."""
    model = front_end_model(0, f"spectrum:frame={frame}", (frame, 1, 1), None)
    (folder / "m.h").write_text(header_text(make_plan(model, "m", target)))
    source = folder / "main.c"
    source.write_text(POWERS % {"frame": frame, "points": frame // 2, "count": count})
    noise = np.random.default_rng(frame).normal(0, 3000, (count, frame)).astype(np.int16)
    extremes = edge_samples(model)
    frames = np.concatenate([extremes, noise])[:count]
    power, exponent = spectrum.power(frames)
    return source, frames.tobytes(), np.concatenate([exponent[:, None], power], axis=1)


@pytest.mark.parametrize("frame", [128, 512])
def test_c_gives_every_power_of_python(frame, tmp_path):
    """Halves are rare, and a rounding that is wrong hardly shows in a logarithm."""
    source, samples, wanted = powers_program(tmp_path, frame, 1_500_000 // frame, "portable")
    program = tmp_path / "main"
    subprocess.run([*find_compiler(), "-O1", f"-I{STREAM_HERE}", "-o", str(program), str(source)], check=True)
    found = subprocess.run([str(program)], input=samples, capture_output=True, check=True).stdout
    assert np.array_equal(np.frombuffer(found, np.int32).reshape(wanted.shape), wanted)


@pytest.mark.parametrize(("core", "frame"), FRAMES_OF_CORES)
def test_every_core_with_dsp_or_helium_gives_every_power_of_python(core, frame, tmp_path):
    if emulated.missing([core]):
        pytest.skip(emulated.missing([core]))
    source, samples, wanted = powers_program(tmp_path, frame, 100_000 // frame, CORES[core].target.name)
    found = emulated.execute(emulated.build(source, CORES[core]), CORES[core], samples).output
    assert np.array_equal(np.frombuffer(found, np.int32).reshape(wanted.shape), wanted)


@st.composite
def front_ends(draw) -> tuple[str, tuple[int, int, int], None]:
    """What `front_end_model` takes: any frame, with hops, bands, steps and channels that fit it."""
    frame = draw(st.sampled_from(FRAMES))
    kind, channels = draw(st.sampled_from(list(KINDS))), draw(st.integers(1, 3))
    hop, bands, steps = (draw(st.integers(1, most)) for most in (300, min(frame // 8, 40), STEPS_MAX))
    rows = frame + draw(st.integers(0, 2 * hop))
    return f"{kind}:frame={frame},hop={hop},bands={bands},steps={steps}", (rows, 1, channels), None


@pytest.mark.parametrize("core", ["m0", "m4", "m55"])
@settings(max_examples=2)
@given(chosen=st.lists(front_ends(), min_size=6, max_size=6), seed=st.integers(0, 7))
def test_any_front_end_is_the_same_on_cores(core, chosen, seed):
    if emulated.missing([core]):
        pytest.skip(emulated.missing([core]))
    models = [front_end_model(number, *front_end) for number, front_end in enumerate(chosen)]
    inputs = [edge_samples(model, seed)[seed::8][:7] for model in models]
    plans = plans_for(models, target=CORES[core].target.name)
    results = compare_all(models, inputs, emulated.run(plans, inputs, core).output)
    assert [result.first for result in results if not result.equal] == []


@pytest.mark.parametrize("rows", [32_768, 32_769, 40_000])
def test_counts_of_long_windows_stop_at_the_end_of_int16(rows):
    """The first has as many crossings as int16 holds, the second one more."""
    model = front_end_model(0, "stats:frame=32,bands=1", (rows, 1, 1), None)
    samples = np.resize(np.array([INT16_MIN, INT16_MAX], np.int16), (1, rows))
    mean, deviation, _, crossings, _ = model.front_end.run(samples[..., None, None])[0].tolist()
    assert (mean, deviation, crossings) == (-1 - rows % 2, 32_767, 32_767)
    result = verify(model, make_plan(model), samples, Host())
    assert result.equal, result.first


@pytest.mark.parametrize("core", CORES)
def test_every_core_gives_the_features_of_python(core):
    if emulated.missing([core]):
        pytest.skip(emulated.missing([core]))
    models = [front_end_model(seed, *chosen) for seed, chosen in enumerate(FRONT_ENDS)]
    # each model has its own eighth of the extremes
    inputs = [edge_samples(model, seed)[seed::8][:7] for seed, model in enumerate(models)]
    plans = plans_for(models, target=CORES[core].target.name)
    results = compare_all(models, inputs, emulated.run(plans, inputs, core).output)
    assert [result.first for result in results if not result.equal] == []


@pytest.mark.parametrize("prefix", ["re", "low", "a", "points", "even"])
def test_no_prefix_makes_a_function_of_a_variable(prefix):
    """Names in C are the prefix and more, `low_re` for example."""
    model = front_end_model(5, *FRONT_ENDS[5])
    assert verify(model, make_plan(model, prefix), edge_samples(model)[:4], Host()).equal


@pytest.mark.parametrize(
    ("number", "name", "change"),
    [
        (0, "offset", lambda value: value + 1),
        (0, "rising", lambda value: np.roll(value, 1)),
        (5, "steps", lambda value: value - 1),
        (6, "hop", lambda value: value + 1),
    ],
)
def test_another_number_in_the_c_is_found(number, name, change):
    model = front_end_model(number, *FRONT_ENDS[number])
    other = dataclasses.replace(model.front_end, **{name: change(getattr(model.front_end, name))})
    plan = make_plan(dataclasses.replace(model, front_end=other))
    result = verify(model, plan, edge_samples(model), Host())
    assert not result.equal and result.first.startswith("features")


@pytest.mark.parametrize("core", ["m0", "m4", "m55"])
def test_measured_flash_and_stack_hold_the_front_end(core):
    model = front_end_model(0, *FRONT_ENDS[0])
    plan, without = (
        make_plan(one, target=f"cortex-{core}") for one in (model, dataclasses.replace(model, front_end=None))
    )
    if missing(plan):
        pytest.skip(missing(plan))
    found, bare = measure(plan), measure(without)
    code = found.flash_bytes - bare.flash_bytes - plan.table_bytes
    predicted = predicted_code_bytes(plan) - predicted_code_bytes(without)
    assert code > 900 and abs(predicted - code) < 0.05 * code
    assert found.stack_bytes > bare.stack_bytes


def test_the_stack_counts_what_helium_pushes():
    """Nine registers and eight of 64 bits, two more where the first pass is over two points; the layer pushes less."""
    for number, pushed_bytes in ((0, 9 * 4 + 8 * 8), (1, 9 * 4 + 10 * 8)):
        plan = make_plan(front_end_model(number, *FRONT_ENDS[number]), target="cortex-m55", optimize="size")
        layers = [layer.cost.stack_bytes for layer in plan.layers]
        assert max(layers) < pushed_bytes == assembly_stack_bytes(plan) == plan.front_end.stack_bytes


@pytest.mark.parametrize("core", ["m0", "m4", "m55"])
def test_predicted_instructions_are_those_of_the_core(core):
    """Of long and short frames, several channels, spectra and statistics: each loop runs as often as was counted."""
    if emulated.missing([core]):
        pytest.skip(emulated.missing([core]))
    models = [front_end_model(number, *FRONT_ENDS[number]) for number in (0, 1, 5, 6)]
    plans = plans_for(models, target=f"cortex-{core}")
    inputs = [edge_samples(model)[-2:-1] for model in models]
    run = emulated.run(plans, inputs, core, count=True)
    counts = zip(run.instructions, run.assembly, strict=True)
    for plan in plans:
        (counted, assembly), *_ = [next(counts) for _ in ("front end", *plan.layers, "rest")]
        assert plan.front_end.instructions == pytest.approx(counted, rel=0.03), plan.prefix
        if plan.front_end.helium:
            assert plan.front_end.assembly_instructions == assembly, plan.prefix


def test_flash_of_the_front_end_counts_against_the_limit():
    model = front_end_model(0, *FRONT_ENDS[0])
    for target in ("portable", "cortex-m0"):
        plan = make_plan(model, target=target, optimize="size")
        whole = plan.data_bytes + plan.table_bytes + (predicted_code_bytes(plan) or 0)
        make_plan(model, target=target, optimize="size", limits=Limits(flash_bytes=whole))
        # ten bytes are not enough for the layers
        few = plan.table_bytes + front_end_bytes(plan) + 10
        with pytest.raises(SignbitError, match="more than allowed"):
            make_plan(model, target=target, optimize="size", limits=Limits(flash_bytes=few))


STREAMS = [number for number, (text, _, _) in enumerate(FRONT_ENDS) if not text.startswith("stats")]


@pytest.mark.parametrize("number", STREAMS)
def test_streams_answer_like_whole_windows_at_every_step(number):
    """Two at once, one of which begins late and answers at every third hop; the model's decisions come with them."""
    model = front_end_model(number, *FRONT_ENDS[number])
    result = verify_stream(model, make_plan(model), Host(flags=SANITIZED))
    assert result.equal, result.first
    assert result.values > 600


def test_a_window_is_the_features_of_its_frames():
    """In Python: what a stream gives does not depend on where the window begins."""
    front_end = make("logmel", (3200, 1, 1), 16_000)
    samples = np.random.default_rng(0).normal(0, 900, (1, 9600, 1, 1)).astype(np.int16)
    frames = front_end.frames_of(samples)[0].reshape(-1, 40)
    for first in (0, 1, 7):
        window = samples[:, first * front_end.hop :][:, :3200]
        assert np.array_equal(front_end.run(window)[0, :, 0], frames[first : first + front_end.frames])


def test_statistics_have_no_stream():
    assert "_push(" not in header_text(make_plan(front_end_model(5, *FRONT_ENDS[5])))


def test_header_without_front_end_has_nothing_of_it():
    text = header_text(make_plan(dataclasses.replace(front_end_model(0, *FRONT_ENDS[0]), front_end=None)))
    assert "features(" not in text and "SAMPLES" not in text


def test_header_keeps_the_house_style(model):
    assert faults(header_text(make_plan(model, "p" * 31))) == []


def test_plan_counts_tables_and_scratch():
    sound, motion = (make_plan(front_end_model(number, *FRONT_ENDS[number])) for number in (0, 5))
    assert sound.front_end.flash_bytes == 2 * 129 + 64 + 41 + 240 and sound.scratch_bytes == 4 * 256
    # counts of the features are beside the points of the FFT
    assert motion.scratch_bytes == 4 * 64 + 2 * 3 * (STATISTICS + 8)
    # two hops of samples, the input's bytes, three words and the scratch
    assert sound.stream_bytes == 2 * 2 * 320 + 4 * 40 + 12 + sound.scratch_bytes
    assert motion.table_bytes == motion.front_end.flash_bytes + motion.input.flash_bytes


# --- training


def write_sounds(folder, words=("high", "low"), count=12, rows=1600, rate_hz=8000):
    rng = np.random.default_rng(0)
    for label, frequency in zip(words, (0.9, 0.2), strict=True):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            samples = 5000 * np.sin(frequency * np.arange(rows) + number) + rng.normal(0, 200, rows)
            with wave.open(str(folder / label / f"{number}.wav"), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(rate_hz)
                sound.writeframes(samples.astype("<i2").tobytes())
    return folder


def test_sound_is_trained_evaluated_and_verified_from_its_samples(tmp_path, trainer, capsys):
    data, out = write_sounds(tmp_path / "tones"), tmp_path / "tones.npz"
    assert "inputs of 9x1x40 by the front end logmel" in trainer("look", data)[1]
    assert " for its features" in trainer("summary", "--data", data, "--model", "logistic")[1]
    code, _, err = trainer("--data", data, "--model", "logistic", "--epochs", "5", "--out", out, "--quiet")
    assert code == 0 and "front end logmel gives inputs of 9x1x40" in err
    model = file.load(out)
    assert (model.front_end.rate_hz, model.front_end.frame, model.sensor_shape) == (8000, 256, (1600, 1, 1))
    code, shown, _ = trainer("evaluate", out, "--data", data, "--json")
    assert code == 0 and json.loads(shown)["accuracy"]["test"]["integer"] == 1
    assert run_command(codegen, ["verify", str(out), "--data", str(data)]) == 0
    assert "extreme samples: 63 inputs" in capsys.readouterr().out
    new = write_sounds(tmp_path / "new", count=3)
    assert json.loads(trainer("evaluate", out, "--data", new, "--json")[1])["accuracy"]["test"]["count"] == 6
    other = write_sounds(tmp_path / "fast", rate_hz=16_000)
    assert (
        "the data have 16000 samples a second, but the model takes 8000" in trainer("evaluate", out, "--data", other)[2]
    )


def test_windows_have_a_front_end_if_it_is_asked_for(tmp_path, trainer):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 500, (60, 64, 2)) * np.where(np.arange(60) % 2, 4, 1)[:, None, None]
    np.savez(tmp_path / "shakes.npz", x=x.astype(np.int16), y=np.arange(60) % 2)
    for chosen, shape in (("none", (64, 1, 2)), ("spectrum:frame=32", (3, 1, 16)), ("stats:bands=3", (14,))):
        out = tmp_path / "model.npz"
        options = ("--front-end", chosen, "--epochs", "5", "--out", out, "--quiet")
        model = () if chosen.startswith("stats") else ("--model", "logistic")
        code, _, err = trainer("--data", tmp_path / "shakes.npz", *options, *model)
        assert code == 0, err
        found = file.load(out)
        assert (found.front_end.features_shape if found.front_end else found.input_shape) == shape


@pytest.mark.parametrize("kind", ["stats:bands=3", "spectrum:frame=32,bands=4"])
def test_estimator_takes_windows_of_samples(kind):
    estimator = pytest.importorskip("signbit.trainer.estimator", reason='pip install "signbit[sklearn]"')
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = np.rint(rng.normal(0, 500, (60, 64, 2)) * np.where(y, 4, 1)[:, None, None]).reshape(60, -1)
    fitted = estimator.BinaryConnectClassifier("logistic", epochs=5, front_end=kind, input_shape=(64, 1, 2)).fit(x, y)
    assert fitted.score(x, y) > 0.9 and fitted.model_.sensor_shape == (64, 1, 2)
    assert np.array_equal(fitted.inputs(x), fitted.model_.inputs_from(x.astype(np.int16)))


def test_front_end_that_means_nothing_is_refused_in_one_line(tmp_path, trainer):
    np.savez(tmp_path / "bytes.npz", x=np.zeros((40, 8), np.uint8), y=np.arange(40) % 2)
    for arguments, words in (
        (("--data", tmp_path / "bytes.npz", "--front-end", "stats"), "bytes.npz has bytes"),
        (("--data", "digits", "--front-end", "spectrum"), "digits has bytes"),
        (("--front-end", "logmel:bands=0"), "is not one of"),
        (("--front-end", "logmel:bands=4,bands=5"), "is not one of"),
        (("--front-end", "stats:rate=5"), "is not one of"),
    ):
        code, _, err = trainer(*arguments)
        assert code == 2 and words in err and err.count("\n") <= 2
