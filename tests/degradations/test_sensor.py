"""`sensor`: what is asked of optics, shift, noise and quantisation is what its images show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from synrs_data.degradations.distributions import Uniform
from synrs_data.degradations.downsample import Area, AreaOptions
from synrs_data.degradations.point_spread import kernel, sigma_of, transfer
from synrs_data.degradations.sensor import Sensor, SensorOptions
from synrs_data.errors import RecipeError
from synrs_data.filters.grey import grey
from synrs_data.filters.registration import shift_between
from synrs_data.registry import lookup
from synrs_data.resampling import matrix, shrink
from tests.real_textures import ucmerced

Pixels = NDArray[np.uint8]

SHARP: dict[str, Any] = {"sigma": 0}


def write(folder: Path, band: dict[str, Any] | None = None, **changes: Any) -> str:
    """Write a preset with three equal bands, and return its path."""
    bands = {name: dict(band if band is not None else SHARP) for name in "rgb"}
    values = {"kind": "sensor", "bands": bands, **changes}
    path = folder / "preset.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def sensor(folder: Path, band: dict[str, Any] | None = None, *, scale: int = 4, **changes: Any) -> Sensor:
    return Sensor(SensorOptions(scale=scale, preset=write(folder, band, **changes)))


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def one(method: Sensor, image: Pixels, **changes: float) -> Pixels:
    return method.degrade([image], [method.draw(0, *image.shape[:2]) | changes])[0]


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("mtf", [0.05, 0.15, 0.3, 0.6])
def test_the_applied_kernel_has_the_asked_mtf_at_nyquist(scale: int, mtf: float) -> None:
    offsets, row = kernel(sigma_of(mtf, scale), 0.0, scale)
    applied = matrix(offsets, row, 64 * scale, scale)
    # One cycle over two LR pixels, with its crests in the middles of LR pixels: they come out at +-MTF.
    wave = np.cos(np.pi * (np.arange(64 * scale) + 0.5 - scale / 2) / scale)
    crests = (applied @ wave)[16:-16] * np.where(np.arange(16, 48) % 2, -1, 1)
    assert np.abs(crests - mtf).max() < 1e-3


def test_images_show_the_asked_mtf(tmp_path: Path) -> None:
    method = sensor(tmp_path, {"mtf": 0.3}, bits=16)
    wave = np.cos(np.pi * (np.arange(256) + 0.5 - 2) / 4)
    image = np.tile(np.rint(127.5 + 127 * wave).astype(np.uint8)[:, None, None], (1, 32, 3))
    found = one(method, image)[16:-16, 4, 0].astype(float)
    assert (found[0::2].mean() - found[1::2].mean()) / 254 == pytest.approx(0.3, abs=5e-3)


def test_the_detector_alone_has_two_over_pi_and_optics_are_gaussian() -> None:
    assert transfer(0.0, 16) == pytest.approx(2 / np.pi, rel=2e-3)
    for frequency in (0.1, 0.3, 0.5):
        optics = transfer(0.5, 16, frequency) / transfer(0.0, 16, frequency)
        assert optics == pytest.approx(np.exp(-2 * np.pi**2 * 0.5**2 * frequency**2), rel=5e-3)


@pytest.mark.parametrize("mtf", [0.75, 0.0])
def test_an_mtf_that_no_optics_give_is_refused(mtf: float) -> None:
    with pytest.raises(ValueError, match="no optics give"):
        sigma_of(mtf, 4)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.5])
@pytest.mark.parametrize("shift", [0.0, 0.37, -1.2])
def test_kernels_keep_the_light_and_are_never_negative(sigma: float, shift: float) -> None:
    offsets, row = kernel(sigma, shift, 4)
    assert row.sum() == pytest.approx(1, abs=1e-12)
    assert row.min() >= -1e-15
    # The centre of what is seen lies `shift` LR pixels to the left of the LR pixel's own.
    assert (row * (offsets + 0.5)).sum() == pytest.approx(2 - 4 * shift, abs=1e-9)


def test_without_optics_shift_and_noise_it_is_the_area_mean(tmp_path: Path) -> None:
    image = noise(32, 48)
    found = one(sensor(tmp_path, bits=16), image).astype(int)
    expected = Area(AreaOptions()).degrade([image], [{}])[0]
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.9


@pytest.mark.parametrize(("axis", "of_array"), [("x", 1), ("y", 0)])
def test_a_shift_of_a_quarter_lr_pixel_is_one_of_a_whole_hr_pixel(
    tmp_path: Path, axis: str, of_array: int
) -> None:
    method = sensor(tmp_path, {"mtf": 0.25})
    image = noise(96, 96)
    shifted = one(method, image, **{f"shift.{axis}": 0.25})
    rolled = one(method, np.roll(image, 1, axis=of_array))
    np.testing.assert_array_equal(shifted[4:-4, 4:-4], rolled[4:-4, 4:-4])


def test_a_band_is_shifted_alone(tmp_path: Path) -> None:
    method = sensor(tmp_path, {"mtf": 0.25})
    image = noise(96, 96)
    plain = one(method, image)
    found = one(method, image, **{"band_shift.g.x": 0.5, "shift.x": 0.25})
    expected = one(method, np.roll(image, 3, axis=1))
    np.testing.assert_array_equal(found[4:-4, 4:-4, 1], expected[4:-4, 4:-4, 1])
    assert (found[..., 0] != plain[..., 0]).any()


@pytest.mark.parametrize("scale", [4, 8])
def test_drawn_shifts_are_found_by_phase_correlation_on_real_images(tmp_path: Path, scale: int) -> None:
    method = sensor(tmp_path, {"mtf": [0.15, 0.3], "snr": 150}, scale=scale, shift=0.5)
    images = ucmerced(9)
    drawn = [method.draw(seed, 256, 256) for seed in range(len(images))]
    small = method.degrade(images, drawn)
    errors = []
    for high, low, asked in zip(shrink(images, "matlab", scale), small, drawn, strict=True):
        found = shift_between(grey(high), grey(low))
        errors += [found.x - float(asked["shift.x"]), found.y - float(asked["shift.y"])]
    assert np.abs(errors).max() < (0.02 if scale == 4 else 0.04)


@pytest.mark.parametrize("level", [51, 200])
def test_noise_has_the_variance_of_the_formula(tmp_path: Path, level: int) -> None:
    method = sensor(tmp_path, {"sigma": 0.3, "snr": 20, "reference": 0.2, "read": 0.005}, bits=16)
    image = np.full((1024, 1024, 3), level, dtype=np.uint8)
    found = one(method, image).astype(float)
    gain = ((0.2 / 20) ** 2 - 0.005**2) / 0.2
    # Rounding to whole levels adds a twelfth.
    expected = (gain * level / 255 + 0.005**2) * 255**2 + 1 / 12
    assert found.var() == pytest.approx(expected, rel=0.02)
    assert found.mean() == pytest.approx(level, abs=0.05)
    if level == 51:
        assert level / np.sqrt(found.var() - 1 / 12) == pytest.approx(20, rel=0.02)


def test_noise_differs_between_pixels_bands_and_seeds(tmp_path: Path) -> None:
    method = sensor(tmp_path, {"sigma": 0.3, "snr": 10})
    flat = np.full((256, 256, 3), 100, dtype=np.uint8)
    first, second = (one(method, flat, **{"noise.seed": seed}).astype(float) for seed in (1, 2))
    planes = [*np.moveaxis(first, 2, 0), *np.moveaxis(second, 2, 0)]
    correlations = np.corrcoef([plane.ravel() for plane in planes])
    assert np.abs(correlations - np.eye(6)).max() < 0.07


def test_a_band_without_snr_has_no_noise(tmp_path: Path) -> None:
    method = sensor(tmp_path, {"sigma": 0.5})
    assert (one(method, np.full((64, 64, 3), 123, dtype=np.uint8)) == 123).all()


def test_quantisation_leaves_the_levels_of_its_bits(tmp_path: Path) -> None:
    found = np.unique(one(sensor(tmp_path, bits=3), noise(128, 128)))
    assert set(found) <= {round(255 * level / 7) for level in range(8)}
    ramp = np.tile(np.arange(256, dtype=np.uint8).repeat(4)[:, None, None], (1, 4, 3))
    found = one(sensor(tmp_path, bits=3), ramp)[:, 0, 0]
    np.testing.assert_array_equal(found, np.floor(np.rint(np.arange(256) / 255 * 7) / 7 * 255 + 0.5))


def test_twelve_bits_are_more_than_eight_show(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8).repeat(4)[:, None, None], (1, 4, 3))
    np.testing.assert_array_equal(one(sensor(tmp_path, bits=12), ramp)[:, 0, 0], np.arange(256))


def test_noise_is_clipped_at_both_ends(tmp_path: Path) -> None:
    method = sensor(tmp_path, {"sigma": 0, "snr": 2, "reference": 1.0})
    white = np.full((128, 128, 3), 255, dtype=np.uint8)
    black = np.zeros((128, 128, 3), dtype=np.uint8)
    assert one(method, white).max() == 255
    assert (one(method, white) == 255).mean() == pytest.approx(0.5, abs=0.05)
    assert (one(method, black) == 0).all()


def test_parameters_after_json_give_the_same_bytes_alone_and_among_others() -> None:
    method = Sensor(SensorOptions())
    images = [noise(64, 64, 1), noise(32, 64, 2), noise(64, 64, 3), noise(64, 64, 4)]
    drawn = [method.draw(seed, *image.shape[:2]) for seed, image in enumerate(images)]
    together = method.degrade(images, drawn)
    again = Sensor(SensorOptions())
    for image, parameters, small in zip(images, drawn, together, strict=True):
        read = json.loads(json.dumps(parameters))
        np.testing.assert_array_equal(again.degrade([image], [read])[0], small)


def test_parameters_alone_decide_not_the_preset_that_drew_them(tmp_path: Path) -> None:
    image = noise(64, 64)
    drawn = Sensor(SensorOptions()).draw(5, 64, 64)
    other = sensor(tmp_path, {"sigma": 2.0, "snr": 3}, bits=2, shift=1)
    np.testing.assert_array_equal(
        other.degrade([image], [drawn])[0], Sensor(SensorOptions()).degrade([image], [drawn])[0]
    )


def test_draws_are_a_function_of_the_seed() -> None:
    method = Sensor(SensorOptions())
    assert method.draw(7, 64, 64) == Sensor(SensorOptions()).draw(7, 128, 64)
    assert method.draw(7, 64, 64) != method.draw(8, 64, 64)
    assert {type(value) for value in method.draw(7, 64, 64).values()} == {int, float}
    assert int(method.draw(2**63 - 1, 64, 64)["noise.seed"]) < 2**53


def test_narrowing_one_range_moves_no_other_parameter(tmp_path: Path) -> None:
    wide = sensor(tmp_path, {"sigma": [0.2, 0.6], "snr": [50, 90]}, shift=0.5).draw(3, 8, 8)
    narrow = sensor(tmp_path, {"sigma": 0.4, "snr": [50, 90]}, shift=0.5).draw(3, 8, 8)
    changed = {name for name in wide if wide[name] != narrow[name]}
    assert changed == {"psf.r.sigma", "psf.g.sigma", "psf.b.sigma"}


def test_draws_follow_the_stated_distributions(tmp_path: Path) -> None:
    method = sensor(tmp_path, {"sigma": [0.2, 0.6], "snr": [50, 200]}, shift=0.5, misregistration=0.1)
    check_draws(method, 20_000, 14)


def test_draws_of_the_shipped_preset_follow_the_stated_distributions() -> None:
    check_draws(Sensor(SensorOptions()), 20_000, 9)


def check_draws(method: Sensor, count: int, parameters: int) -> None:
    drawn = [method.draw(seed, 64, 64) for seed in range(count)]
    stated = method.distributions()
    assert len(stated) == parameters
    for name, distribution in stated.items():
        assert isinstance(distribution, Uniform)
        values = np.sort([float(one[name]) for one in drawn])
        low, high = distribution.support
        assert low <= values[0] <= values[-1] <= high
        # Kolmogorov and Smirnov: 1.95 / sqrt(n) is passed by chance in one of a thousand.
        distance = np.abs(distribution.cdf(values) - (np.arange(count) + 0.5) / count).max()
        assert distance < 1.95 / np.sqrt(count), name


def test_the_shipped_preset_is_within_what_esa_asks() -> None:
    stated = Sensor(SensorOptions()).distributions()
    assert {name: stated[name] for name in ("psf.r.mtf", "psf.g.mtf", "psf.b.mtf")} == {
        name: Uniform.between(0.15, 0.3) for name in ("psf.r.mtf", "psf.g.mtf", "psf.b.mtf")
    }
    drawn = Sensor(SensorOptions()).draw(0, 64, 64)
    assert (drawn["quantisation.bits"], drawn["shift.x"], drawn["noise.r.snr"]) == (12, 0.0, 142.0)


def test_the_digest_is_that_of_the_numbers(tmp_path: Path) -> None:
    first = sensor(tmp_path, title="one").digest()
    assert first == sensor(tmp_path, title="another").digest()
    assert first != sensor(tmp_path, bits=11).digest()
    assert len(first) == 64


def test_it_is_registered_by_name() -> None:
    assert lookup("degradations", "sensor") is Sensor


@pytest.mark.parametrize(
    ("band", "changes", "message"),
    [
        ({"mtf": 0.2, "sigma": 0.4}, {}, "give either mtf or sigma"),
        ({}, {}, "give either mtf or sigma"),
        ({"mtf": 0.7}, {}, "mtf is not within 0.01 and 0.6"),
        ({"mtf": [0.3, 0.2]}, {}, "0.3 is above 0.2"),
        ({"mtf": [0.1, 0.2, 0.3]}, {}, "mtf"),
        ({"mtf": True}, {}, "mtf"),
        ({"sigma": -1}, {}, "sigma is not within 0 and 4"),
        ({"sigma": 0.4, "snr": 0}, {}, "snr is not within"),
        ({"sigma": 0.4, "snr": 100, "read": 0.1}, {}, "read noise of 0.1 alone"),
        ({"sigma": 0.4, "snrr": 100}, {}, "did you mean 'snr'"),
        ({"sigma": 0.4}, {"bits": 0}, "bits"),
        ({"sigma": 0.4}, {"shift": -0.5}, "shift"),
        ({"sigma": 0.4}, {"bitz": 12}, "did you mean 'bits'"),
        ({"sigma": float("nan")}, {}, "sigma"),
        ({"sigma": 0.4}, {"bands": {"r": {"sigma": 1}, "g": {"sigma": 1}}}, "the key 'bands.b' is missing"),
    ],
)
def test_an_impossible_preset_is_one_message(
    tmp_path: Path, band: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        sensor(tmp_path, band, **changes)
    assert "preset.yaml" in caught.value.where


def test_a_preset_of_another_kind_is_told_with_those_that_fit(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("kind: second-order\nsteps: []\n")
    with pytest.raises(RecipeError, match="of the kind 'second-order', not 'sensor'") as caught:
        Sensor(SensorOptions(preset=str(path)))
    assert "sentinel2-like" in caught.value.fix


@pytest.mark.parametrize("text", ["- 1\n", "", "kind: [sensor", "kind: 3\n", "bands: {}\n"])
def test_a_file_that_is_no_preset_is_one_message(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        Sensor(SensorOptions(preset=str(path)))
    assert caught.value.where == str(path)


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no degradation preset 'sentinel2'") as caught:
        Sensor(SensorOptions(preset="sentinel2"))
    assert "did you mean 'sentinel2-like'" in caught.value.fix
