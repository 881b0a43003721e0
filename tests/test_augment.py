"""Images that are moved and bent, inputs with noise."""

import numpy as np
import pytest

from signbit.qmodel.errors import SignbitError
from signbit.trainer.exact import noise
from signbit.trainer.learning.augment import AUGMENTATIONS, Augmenter, add_noise, flip
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_noise_has_its_spread_and_stays_in_range(rng):
    grey = np.full((200, 300), 128, np.uint8)
    noisy = add_noise(grey, 12.0, rng).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.3) and noisy.std() == pytest.approx(12, rel=0.02)
    ends = add_noise(np.tile(np.array([0, 255], np.uint8), (100, 1)), 40.0, rng)
    assert ends.min() == 0 and ends.max() == 255 and len(np.unique(ends)) > 20


def test_noise_makes_another_network(digits):
    one, other = (run(default_settings(epochs=1, input_noise=spread), digits) for spread in (0.0, 20.0))
    assert one.model.hash != other.model.hash


def test_no_warp_changes_nothing(rng):
    images = rng.integers(256, size=(3, 12 * 10 * 2), dtype=np.uint8)
    augmenter = Augmenter((12, 10, 2), "elastic", 1e-9, rng)
    np.testing.assert_array_equal(augmenter.warp(images), images)


@pytest.mark.parametrize("name", ["shift", "affine", "elastic"])
def test_windows_of_a_series_move_in_time_and_lose_nothing(rng, name):
    """They are one pixel wide: a move to the side would fade them."""
    window = np.zeros((100, 28, 1, 2), np.uint8)
    window[:, 10:18] = 200
    warped = Augmenter((28, 1, 2), name, 1.0, rng).warp(window.reshape(100, -1)).reshape(window.shape)
    assert warped.max() == 200 and (warped[:, 13:15] == 200).all() and not np.array_equal(warped, window)


def test_a_crop_moves_images_by_up_to_an_eighth(rng):
    image = np.zeros((1, 32, 32, 1), np.uint8)
    image[0, 16, 16] = 255
    augmenter = Augmenter((32, 32, 1), "crop", 1.0, rng)
    middles = [augmenter.warp(image.reshape(1, -1)).reshape(32, 32) for _ in range(60)]
    places = np.array([np.unravel_index(moved.argmax(), moved.shape) for moved in middles])
    assert np.abs(places - 16).max() == 4 and np.abs(places - 16).mean() > 1


@pytest.mark.parametrize(("name", "axes"), [("none", []), ("horizontal", [2]), ("vertical", [1]), ("both", [1, 2])])
def test_half_of_the_images_are_flipped_along_each_axis(rng, name, axes):
    shape = (3, 5, 2)
    images = rng.integers(256, size=(400, *shape), dtype=np.uint8)
    flipped = flip(images.reshape(400, -1), shape, name, rng).reshape(images.shape)
    found = []
    for one, other in zip(images, flipped, strict=True):
        ways = {(v, h): one[:: -1 if v else 1, :: -1 if h else 1] for v in (0, 1) for h in (0, 1)}
        (way,) = [way for way, image in ways.items() if np.array_equal(image, other)]
        found.append(way)
    parts = np.mean(found, axis=0)
    for axis, part in zip((1, 2), parts, strict=True):
        assert 0.4 < part < 0.6 if axis in axes else part == 0
    # the two are independent
    assert len(set(found)) == 2 ** len(axes)


def test_flips_reach_training_and_only_images(digits):
    one, other = (run(default_settings(epochs=1, flip=name), digits) for name in ("none", "both"))
    assert one.model.hash != other.model.hash
    with pytest.raises(SignbitError, match="--flip both is for images, but the inputs are"):
        default_settings(flip="both").architecture((64,), 10)


def test_mild_epochs_move_half_as_far(digits, monkeypatch):
    amounts, warp = [], Augmenter.warp

    def record(self, images):
        amounts.append(self.amount)
        return warp(self, images)

    monkeypatch.setattr(Augmenter, "warp", record)
    run(default_settings(model="tiny", epochs=3, mild_epochs=1, augment="shift", augment_amount=0.8), digits)
    blocks = len(amounts) // 3
    assert amounts == [0.8] * 2 * blocks + [0.4] * blocks


def test_a_shift_by_whole_pixels(rng, monkeypatch):
    augmenter = Augmenter((6, 5, 1), "shift", 1.0, rng)
    rows, columns = np.mgrid[0:6, 0:5].astype(float)
    monkeypatch.setattr(augmenter, "_random_places", lambda: (rows - 2, columns + 1))
    image = rng.integers(1, 256, size=(6, 5), dtype=np.uint8)
    moved = augmenter.warp(image.reshape(1, -1)).reshape(6, 5)
    np.testing.assert_array_equal(moved[2:, :-1], image[:-2, 1:])
    assert not moved[:2].any() and not moved[:, -1].any()


def test_half_a_pixel_is_the_mean_of_two(rng, monkeypatch):
    augmenter = Augmenter((3, 4, 1), "shift", 1.0, rng)
    rows, columns = np.mgrid[0:3, 0:4].astype(float)
    monkeypatch.setattr(augmenter, "_random_places", lambda: (rows, columns + 0.5))
    image = np.array([[0, 10, 20, 250]] * 3, np.uint8)
    assert augmenter.warp(image.reshape(1, -1)).reshape(3, 4).tolist() == [[5, 15, 135, 125]] * 3


@pytest.mark.parametrize("name", [name for name, strength in AUGMENTATIONS.items() if strength])
def test_warps_move_as_far_as_they_say(rng, name):
    side = 28
    augmenter = Augmenter((side, side, 1), name, 1.0, rng)
    still = np.mgrid[0:side, 0:side]
    moves = np.array([np.subtract(augmenter._random_places(), still) for _ in range(200)])
    strength = AUGMENTATIONS[name]
    middle = moves[:, :, side // 2, side // 2]
    if not strength.bend:
        assert np.abs(middle).max() <= strength.shift * side + 0.5
    else:
        bends = np.array([augmenter._smooth() for _ in range(200)])
        assert bends.std() == pytest.approx(1, abs=0.25) and abs(bends.mean()) < 0.1
    assert np.abs(middle).std() > 0.1


DRAWN = ("shift_y", "shift_x", "turn", "shear", "scale_y", "scale_x")
STRENGTHS = {
    # parts of the side, degrees, columns a row, parts of the size, parts of the side
    "shift": (1 / 28, 0, 0, 0, 0),
    "crop": (1 / 8, 0, 0, 0, 0),
    "affine": (1 / 14, 10, 0.15, 0.1, 0),
    "elastic": (1 / 14, 10, 0.15, 0.1, 1 / 80),
}


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_kind_of_warp_has_its_largest_strengths(rng, monkeypatch, name):
    """One number drawn is at its end, all others 0: where the pixels of a 21x21 image then come from, by geometry."""
    shift, degrees, shear, scale, bend = STRENGTHS[name]
    augmenter = Augmenter((21, 21, 1), name, 1.0, rng)
    y, x = np.mgrid[-10:11, -10:11]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    expected = {
        "shift_y": (y + 21 * shift, x),
        "shift_x": (y, x + 21 * shift),
        "turn": (cos * y - sin * x, sin * y + cos * x),
        "shear": (y, x + shear * y),
        "scale_y": (y * (1 + scale), x),
        "scale_x": (y, x * (1 + scale)),
        "bend": (y + 21 * bend, x + 21 * bend),
    }
    for drawn, places in expected.items():
        monkeypatch.setattr(noise, "uniform", lambda *_, drawn=drawn: np.array([1.0 * (n == drawn) for n in DRAWN]))
        monkeypatch.setattr(augmenter, "_smooth", lambda drawn=drawn: np.full((21, 21), 1.0 * (drawn == "bend")))
        np.testing.assert_allclose(augmenter._random_places(), np.add(places, 10), atol=0.01, err_msg=drawn)


def test_augmentation_is_for_images():
    with pytest.raises(SignbitError, match="--augment shift is for images, but the inputs are"):
        default_settings(augment="shift").architecture((64,), 10)
