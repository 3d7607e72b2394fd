"""The generator `real-guidance`: published strengths, sources that are named, results that follow them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from synrs_data.errors import RecipeError, UserError
from synrs_data.generators import ConditionedGenerator
from synrs_data.generators.base import SourcedGenerator
from synrs_data.generators.from_real import prepare
from synrs_data.generators.real_guidance import PUBLISHED_STRENGTHS, RealGuidance, RealGuidanceOptions
from synrs_data.geo import GeoRecord
from synrs_data.real_images import LabelledFolder
from synrs_data.resources import embedded_models, shipped
from synrs_data.sample import Request
from tests.real_folder import paint, real_folder
from tests.tiny_families import write_sat_pipeline, write_text2earth_pipeline


def options(folder: Path, sources: Path, **changes: Any) -> RealGuidanceOptions:
    values = {"model": str(folder), "sources": str(sources), "shots": 4, "steps": 4, "guidance_scale": 3.0}
    return RealGuidanceOptions.model_validate(values | changes)


def request(label: str, seed: int) -> Request:
    return Request(prompt=f"a {label}", label=0, seed=seed, geo=GeoRecord(), label_name=label)


REQUESTS = [request("Forest", 1), request("River", 2), request("Forest", 2**63 - 1)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_folder(tmp_path_factory.mktemp("sources") / "real")


@pytest.fixture(scope="module")
def guided(tiny_pipeline: Path, sources: Path) -> RealGuidance:
    made = RealGuidance(options(tiny_pipeline, sources))
    made.load("cpu")
    return made


@pytest.mark.parametrize(("shots", "strength"), [(16, 0.15), (8, 0.2), (4, 0.35), (2, 0.4), (1, 0.5)])
def test_the_strength_is_the_published_one_of_the_shots(shots: int, strength: float) -> None:
    assert (
        RealGuidanceOptions.model_validate({"model": "m", "sources": "s", "shots": shots}).strength
        == strength
    )
    assert PUBLISHED_STRENGTHS[shots] == strength


def test_other_shots_need_a_strength_of_their_own() -> None:
    with pytest.raises(ValidationError, match="no strength is published for 5 shots"):
        RealGuidanceOptions.model_validate({"model": "m", "sources": "s", "shots": 5, "strength": None})
    values = {"model": "m", "sources": "s", "shots": 5, "strength": 0.3}
    assert RealGuidanceOptions.model_validate(values).strength == 0.3


def test_it_keeps_both_protocols(guided: RealGuidance) -> None:
    assert isinstance(guided, ConditionedGenerator)
    assert isinstance(guided, SourcedGenerator)


def test_images_have_the_models_size_and_are_the_same_again(
    guided: RealGuidance, tiny_pipeline: Path, sources: Path
) -> None:
    first = guided.generate(REQUESTS)
    assert {image.shape for image in first} == {(16, 16, 3)}
    other = RealGuidance(options(tiny_pipeline, sources))
    other.load("cpu")
    for images in (guided.generate(REQUESTS), other.generate(REQUESTS)):
        assert all(np.array_equal(a, b) for a, b in zip(first, images, strict=True))


def test_a_source_is_of_the_label_and_depends_on_the_seed_alone(guided: RealGuidance, sources: Path) -> None:
    digests = {image.name: image.sha256 for image in LabelledFolder(sources).images}
    seen = set()
    for seed in range(40):
        given = guided.inputs(request("River", seed))
        assert given == guided.inputs(request("River", seed))
        assert given.derived_from == digests[given.parameters["source"]]
        assert given.parameters["source"].startswith("River/")
        seen.add(given.parameters["source"])
    assert len(seen) == 4


def test_a_sample_keeps_its_source_unless_it_may_not(
    guided: RealGuidance, tiny_pipeline: Path, sources: Path
) -> None:
    given = guided.inputs(REQUESTS[0])
    kept = np.asarray(Image.open(io.BytesIO(given.fields["source.jpg"]))).astype(int)
    original = np.asarray(Image.open(sources / given.parameters["source"])).astype(int)
    assert np.abs(kept - original).mean() < 8
    assert guided.extra_fields == ("source.jpg",)
    without = RealGuidance(options(tiny_pipeline, sources, keep_source=False))
    without.load("cpu")
    assert without.extra_fields == ()
    assert without.inputs(REQUESTS[0]).fields == {}
    assert without.inputs(REQUESTS[0]).derived_from == given.derived_from


def test_the_identity_says_how_much_noise_and_which_pipeline(tiny_pipeline: Path, sources: Path) -> None:
    made = RealGuidance(options(tiny_pipeline, sources, steps=9))
    identity = made.load("cpu")
    assert identity.family == "StableDiffusionImg2ImgPipeline"
    assert (identity.steps, identity.guidance_scale) == (9, 3.0)
    assert {"strength": 0.35, "shots": 4, "resize": "center-crop"}.items() <= identity.parameters.items()
    assert identity.sha256 != made.digest()


def test_the_digest_counts_the_sources(tiny_pipeline: Path, tmp_path: Path) -> None:
    root = real_folder(tmp_path / "real")
    before = RealGuidance(options(tiny_pipeline, root)).digest()
    assert RealGuidance(options(tiny_pipeline, root)).digest() == before
    Image.fromarray(paint(999)).save(root / "Forest/0.png")
    assert RealGuidance(options(tiny_pipeline, root)).digest() != before


def test_strength_and_steps_that_leave_nothing_to_run_are_refused(tiny_pipeline: Path, sources: Path) -> None:
    made = RealGuidance(options(tiny_pipeline, sources, steps=2, strength=0.4))
    with pytest.raises(RecipeError, match=r"2 steps at strength 0\.4 leave none to run"):
        made.load("cpu")


def test_the_size_of_the_recipe_is_kept(tiny_pipeline: Path, sources: Path) -> None:
    made = RealGuidance(options(tiny_pipeline, sources, width=24, height=8))
    made.load("cpu")
    assert [image.shape for image in made.generate(REQUESTS)] == [(8, 24, 3)] * 3


def test_text2earth_paints_its_training_size_unless_the_recipe_says_another(
    tiny_pipeline: Path, sources: Path, tmp_path: Path
) -> None:
    folder = write_text2earth_pipeline(tiny_pipeline, tmp_path / "model")
    for sides, size in (({}, (256, 256)), ({"width": 24, "height": 8}, (24, 8))):
        made = RealGuidance(options(folder, sources, **sides))
        made.load("cpu")
        source = Image.open(io.BytesIO(made.inputs(REQUESTS[0]).fields["source.jpg"]))
        assert source.size == size


def test_diffusionsat_needs_a_size_in_the_recipe(tiny_pipeline: Path, sources: Path, tmp_path: Path) -> None:
    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model")
    for sides in ({}, {"width": 16}):
        with pytest.raises(RecipeError, match="do not say which size"):
            RealGuidance(options(folder, sources, **sides)).load("cpu")
    made = RealGuidance(options(folder, sources, width=16, height=16))
    made.load("cpu")
    assert [image.shape for image in made.generate(REQUESTS[:1])] == [(16, 16, 3)]


@pytest.mark.parametrize(("rule", "column"), [("center-crop", 1), ("stretch", 0)])
def test_resizing_follows_the_named_rule(tmp_path: Path, rule: Any, column: int) -> None:
    # A wide image whose left and right quarters are black: cut by one rule, kept by the other.
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, 8:24] = 255
    (tmp_path / "Forest").mkdir()
    Image.fromarray(wide).save(tmp_path / "Forest/1.png")
    image, _ = prepare(LabelledFolder(tmp_path).images[0], (16, 16), rule)
    assert image.size == (16, 16)
    assert (np.asarray(image)[8, 1].mean() > 128) == (column == 1)


@pytest.mark.parametrize(
    ("mode", "message"), [("I;16", "not 8 bits a channel"), ("broken", "cannot be read")]
)
def test_sources_that_are_no_8_bit_images_are_refused(tmp_path: Path, mode: str, message: str) -> None:
    (tmp_path / "Forest").mkdir()
    path = tmp_path / "Forest/1.png"
    if mode == "broken":
        path.write_bytes(b"x")
    else:
        Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(path)
    with pytest.raises(UserError, match=message):
        prepare(LabelledFolder(tmp_path).images[0], (16, 16), "stretch")


@pytest.mark.skipif("eurosat-tiny" not in embedded_models(), reason="no embedded generator here")
def test_less_noise_stays_nearer_to_the_source_with_the_embedded_model() -> None:
    requests = [request("River", seed) for seed in range(4)]
    means = []
    for strength in (0.1, 0.9):
        made = RealGuidance(
            RealGuidanceOptions(
                model="eurosat-tiny",
                sources=str(shipped("builders", "sources", "eurosat")),
                steps=10,
                strength=strength,
            )
        )
        made.load("cpu")
        kept = [
            np.asarray(Image.open(io.BytesIO(made.inputs(each).fields["source.jpg"]))).astype(int)
            for each in requests
        ]
        images = made.generate(requests)
        means.append(np.mean([np.abs(a - b).mean() for a, b in zip(kept, images, strict=True)]))
    assert means[0] < 0.7 * means[1]
