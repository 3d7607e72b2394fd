"""Presets of `real-esrgan` are read strictly: a mistake is one message that says where and what."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from synrs_data.degradations.real_esrgan import RealEsrgan, RealEsrganOptions
from synrs_data.degradations.second_order_preset import KIND, load_preset
from synrs_data.errors import RecipeError
from synrs_data.resources import named_files, shipped

SCALES = {"real-esrgan-x4": 4, "real-esrgan-x2": 2, "resshift": 4, "bsrgan": 4}
SHARPENED = {"real-esrgan-x4": True, "real-esrgan-x2": True, "resshift": False, "bsrgan": False}

LAST: dict[str, Any] = {
    "step": "resize", "name": "last", "relative_to": "lr", "factor": 1, "modes": ["area"],
}  # fmt: skip
BLUR: dict[str, Any] = {"step": "blur", "name": "blur", "sizes": [7], "kernels": {"iso": 1}, "sigma": [1, 2]}
SMALL: dict[str, Any] = {
    "kind": KIND, "scale": 4, "sharpen": False, "usm": {"weight": 0.5, "radius": 50, "threshold": 10},
    "steps": [BLUR, LAST],
}  # fmt: skip


def write(folder: Path, values: Any) -> str:
    path = folder / "preset.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def small(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return copy.deepcopy(SMALL) | ({"steps": [*steps]} if steps else {}) | changes


def refused(folder: Path, values: Any) -> str:
    path = write(folder, values)
    with pytest.raises(RecipeError) as caught:
        load_preset(path)
    assert caught.value.where == path
    assert caught.value.fix
    return caught.value.what


def test_every_shipped_preset_of_this_kind_is_listed_here() -> None:
    files = named_files("builders/vocab/degradations")
    ours = {name for name, path in files.items() if yaml.safe_load(path.read_text())["kind"] == KIND}
    assert ours == set(SCALES)


@pytest.mark.parametrize("name", SCALES)
def test_a_shipped_preset_says_its_scale_sharpening_and_sources(name: str) -> None:
    preset = load_preset(name)
    assert (preset.scale, preset.sharpen) == (SCALES[name], SHARPENED[name])
    assert preset.usm.model_dump() == {"weight": 0.5, "radius": 50, "threshold": 10}
    assert "github.com/" in preset.source
    assert preset.title
    assert RealEsrgan(RealEsrganOptions(preset=name)).scale == SCALES[name]


def test_bsrgan_says_what_is_left_out() -> None:
    assert "Left out" in load_preset("bsrgan").source


def test_a_preset_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    method = RealEsrgan(RealEsrganOptions(preset=write(tmp_path, small(scale=3))))
    assert method.scale == 3
    drawn = {name for name in method.draw(0, 9, 9) if not name.startswith("shift.")}
    assert drawn == {"blur.kind", "blur.size", "blur.sigma_x", "last.mode"}


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    digests = {
        name: RealEsrgan(RealEsrganOptions(preset=name)).digest() for name in ("real-esrgan-x4", "bsrgan")
    }
    text = shipped("builders", "vocab", "degradations", "real-esrgan-x4.yaml").read_text()
    copied = tmp_path / "other.yaml"
    copied.write_text(text)
    assert (
        RealEsrgan(RealEsrganOptions(preset=str(copied))).digest()
        == digests["real-esrgan-x4"]
        != digests["bsrgan"]
    )
    copied.write_text(text.replace("[1, 30]", "[1, 31]"))
    assert RealEsrgan(RealEsrganOptions(preset=str(copied))).digest() not in digests.values()


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(RecipeError) as caught:
        load_preset("real-esrgan-4x")
    assert caught.value.what == "there is no degradation preset 'real-esrgan-4x'"
    assert "did you mean 'real-esrgan-x4'?" in caught.value.fix


def test_a_preset_of_another_kind_is_named_as_such() -> None:
    with pytest.raises(RecipeError) as caught:
        load_preset("sentinel2-like")
    assert caught.value.what == "is a preset of the kind 'sensor', not 'second-order'"


@pytest.mark.parametrize("text", ["kind: [", "", "[1, 2]", "steps: {"])
def test_a_file_that_is_no_preset_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "preset.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_preset(str(path))
    assert caught.value.where == str(path)


STEP_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"sigmas": [1, 2]}, "unknown key 'steps.0.blur.sigmas'"),
    "span upside down": ({"sigma": [3, 1]}, "3 is above 1"),
    "even kernel": ({"sizes": [7, 8]}, "odd number of pixels"),
    "no kernel size": ({"sizes": []}, "at least 1 item"),
    "shares of 1.1": ({"kernels": {"iso": 0.6, "aniso": 0.5}}, "add up to 1, not 1.1"),
    "negative share": ({"kernels": {"iso": 1.5, "aniso": -0.5}}, "are 0 or more"),
    "unknown kernel": ({"kernels": {"square": 1}}, "'iso'"),
    "sinc among kernels": ({"kernels": {"sinc": 1}}, "the probability of sinc kernels is the key `sinc`"),
    "no kernels": ({"kernels": {}}, "`kernels` is missing"),
    "no sigma": ({"sigma": None}, "`sigma` is missing"),
    "no rotation": ({"kernels": {"aniso": 1}}, "`rotation` is missing"),
    "no beta": ({"kernels": {"plateau_iso": 1}}, "`plateau_beta` is missing"),
    "beta without 1": ({"generalized_beta": [1.5, 2]}, "does not hold 1"),
    "no cut-off": ({"sinc": 0.1}, "`cutoffs` is missing"),
    "no last cut-off": (
        {"sinc": 0.1, "cutoffs": [{"below": 9, "range": [1, 2]}]},
        "the last of `cutoffs` has no `below`",
    ),
    "cut-off above pi": ({"sinc": 0.1, "cutoffs": [{"range": [1, 4]}]}, "less than or equal to 3.14159"),
    "probability 0": ({"probability": 0}, "greater than 0"),
    "probability above 1": ({"probability": 1.5}, "less than or equal to 1"),
    "not a number": ({"sigma": [0.1, float("nan")]}, "finite number"),
    "name with a dot": ({"name": "blur.1"}, "string should match pattern"),
}


@pytest.mark.parametrize("fault", STEP_FAULTS)
def test_a_wrong_blur_is_refused(tmp_path: Path, fault: str) -> None:
    changes, message = STEP_FAULTS[fault]
    what = refused(tmp_path, small(BLUR | changes, LAST))
    assert message in what
    assert "steps.0.blur" in what


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            {"factor": 0.5, "divisor": [1, 2]},
            "give one of `factor`, `divisor`, and `directions` with `range`",
        ),
        ({}, "give one of `factor`"),
        ({"directions": {"up": 1}}, "`directions` and `range` belong together"),
        ({"directions": {"up": 1}, "range": [1.5, 2]}, "does not hold 1"),
        ({"factor": 2, "grid": "factor", "relative_to": "lr"}, "`grid: factor` needs `relative_to: image`"),
        ({"factor": 2, "modes": ["lanczos"]}, "'area'"),
    ],
)
def test_a_wrong_resize_is_refused(tmp_path: Path, step: dict[str, Any], message: str) -> None:
    base = {"step": "resize", "name": "first", "relative_to": "image", "modes": ["area"]}
    assert message in refused(tmp_path, small(base | step, LAST))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"sigma": None}, "`sigma` is missing"),
        ({"kinds": {"poisson": 1}}, "`poisson_scale` is missing"),
        ({"channels": {"correlated": 1}}, "`correlated_sigma` is missing"),
        ({"sigma": [1, 2.5], "whole": True}, "`whole` needs whole numbers, not 1 and 2.5"),
        ({"kinds": {}}, "at least 1 item"),
        (
            {"kinds": {"poisson": 1}, "poisson_scale": [1, 2], "channels": {"correlated": 1}, "correlated_sigma": 9},
            "not correlated",
        ),
    ],
)  # fmt: skip
def test_wrong_noise_is_refused(tmp_path: Path, step: dict[str, Any], message: str) -> None:
    base = {
        "step": "noise", "name": "n", "kinds": {"gaussian": 1}, "channels": {"gray": 1}, "sigma": [1, 2],
    }  # fmt: skip
    assert message in refused(tmp_path, small(base | step, LAST))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"quality": [0, 50]}, "greater than or equal to 1"),
        ({"quality": [90, 50]}, "90 is above 50"),
        ({"codec": "mozjpeg"}, "'diffjpeg' or 'libjpeg'"),
        ({"quality": [30.5, 50], "whole": True}, "whole numbers"),
    ],
)
def test_wrong_jpeg_is_refused(tmp_path: Path, step: dict[str, Any], message: str) -> None:
    base = {"step": "jpeg", "name": "jpeg", "quality": [30, 95], "codec": "libjpeg"}
    assert message in refused(tmp_path, small(base | step, LAST))


def shuffle(*steps: dict[str, Any], before: list[list[str]] | None = None) -> dict[str, Any]:
    return {"step": "shuffle", "name": "mix", "steps": list(steps), "before": before or []}


HALVE = LAST | {"name": "halve", "relative_to": "image", "factor": 0.5}


def option(name: str, probability: float, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "probability": probability, "steps": list(steps)}


STRUCTURE_FAULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "unknown step": ([{"step": "rotate", "name": "r"}, LAST], "'blur', 'resize', 'noise', 'jpeg'"),
    "a name twice": ([BLUR, BLUR, LAST], "two steps of one image have the name 'blur'"),
    "a name twice inside": (
        [BLUR, {"step": "group", "name": "g", "steps": [BLUR]}, LAST],
        "two steps of one image have the name 'blur'",
    ),
    "unknown name in before": ([shuffle(BLUR, LAST, before=[["blur", "x"]])], "which is none of the steps"),
    "no order": (
        [shuffle(BLUR, LAST, before=[["blur", "last"], ["last", "blur"]])],
        "`before` allows no order",
    ),
    "options of 0.9": (
        [{"step": "choice", "name": "c", "options": [option("a", 0.9, BLUR)]}, LAST],
        "add up to 1, not 0.9",
    ),
    "options of one name": (
        [{"step": "choice", "name": "c", "options": [option("a", 0.5, BLUR), option("a", 0.5, BLUR)]}, LAST],
        "two options have one name",
    ),
    "one name for two kinds": (
        [
            {
                "step": "choice",
                "name": "c",
                "options": [option("a", 0.5, BLUR), option("b", 0.5, HALVE | {"name": "blur"})],
            },
            LAST,
        ],
        "two different steps have the name 'blur'",
    ),
    "no resize": ([BLUR], "may end in another size than the LR image"),
    "a last resize that is not": ([LAST, HALVE], "may end in another size than the LR image"),
    "a last resize that may be left out": (
        [LAST | {"probability": 0.5}],
        "may end in another size than the LR image",
    ),
    "an option without": (
        [{"step": "choice", "name": "c", "options": [option("a", 0.5, LAST), option("b", 0.5, BLUR)]}],
        "may end in another size",
    ),
    "an order without": ([shuffle(HALVE, LAST)], "may end in another size"),
}


@pytest.mark.parametrize("fault", STRUCTURE_FAULTS)
def test_steps_that_do_not_fit_together_are_refused(tmp_path: Path, fault: str) -> None:
    steps, message = STRUCTURE_FAULTS[fault]
    assert message in refused(tmp_path, small(*steps))


@pytest.mark.parametrize(
    "steps",
    [
        [LAST, BLUR],
        [LAST, HALVE | {"probability": 0.5}, LAST | {"name": "again"}],
        [shuffle(HALVE, LAST, before=[["halve", "last"]])],
        [{"step": "choice", "name": "c", "options": [option("a", 0.5, LAST), option("b", 0.5, BLUR, LAST)]}],
    ],
    ids=["resize first", "undone", "ordered", "both options"],
)
def test_chains_that_always_end_at_the_lr_size_are_accepted(
    tmp_path: Path, steps: list[dict[str, Any]]
) -> None:
    assert load_preset(write(tmp_path, small(*steps))).steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 0}, "'scale'"),
        ({"scale": 2.5}, "'scale'"),
        ({"scael": 4}, "unknown key 'scael', did you mean 'scale'?"),
        ({"usm": {"weight": 0.5, "radius": 50}}, "the key 'usm.threshold' is missing"),
        ({"kind": 3}, "'kind'"),
        ({"steps": []}, "'steps'"),
    ],
)
def test_wrong_values_of_the_whole_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path, small() | changes)
