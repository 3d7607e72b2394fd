"""The generator `spandrel-upscale`: spandrel's images of existing ones, sources kept, other scales refused."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from synrs_data.errors import RecipeError, UserError, WeightsError
from synrs_data.generators import ConditionedGenerator
from synrs_data.generators.base import SourcedGenerator
from synrs_data.generators.spandrel_upscale import SpandrelUpscale, SpandrelUpscaleOptions
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.real_folder import paint, real_folder
from tests.tiny_upscaler import compact_state, rrdb_state, write_upscaler

pytest.importorskip("spandrel", reason="the extra `sr` is not installed")


def request(index: int) -> Request:
    return Request(prompt="", label=0, seed=100 + index, geo=GeoRecord(), index=index)


REQUESTS = [request(index) for index in range(8)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_folder(tmp_path_factory.mktemp("low") / "low")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-esrgan"
    path = write_upscaler(folder / "RealESRGAN_tiny.pth", rrdb_state())
    (folder / "README.md").write_text("---\nlicense: bsd-3-clause\n---\n")
    return path


def made(model: Path, sources: Path, **changes: Any) -> SpandrelUpscale:
    values = {"model": str(model), "images": str(sources)} | changes
    return SpandrelUpscale(SpandrelUpscaleOptions.model_validate(values))


@pytest.fixture(scope="module")
def upscale(model: Path, sources: Path) -> SpandrelUpscale:
    generator = made(model, sources)
    generator.load("cpu")
    return generator


def kept(generator: SpandrelUpscale, each: Request) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(generator.inputs(each).fields["source.png"])))


def test_it_keeps_both_protocols(upscale: SpandrelUpscale) -> None:
    assert isinstance(upscale, ConditionedGenerator)
    assert isinstance(upscale, SourcedGenerator)


def test_images_are_those_of_spandrel_for_the_kept_sources(upscale: SpandrelUpscale, model: Path) -> None:
    import torch
    from spandrel import ModelLoader

    network = ModelLoader().load_from_file(model).eval()
    for image, each in zip(upscale.generate(REQUESTS[:3]), REQUESTS, strict=False):
        pixels = torch.from_numpy(kept(upscale, each).copy()).permute(2, 0, 1)[None].float() / 255
        expected = (network(pixels)[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert image.shape == (64, 64, 3)
        assert np.array_equal(image, expected)


def test_an_image_is_the_same_in_any_batch(upscale: SpandrelUpscale, model: Path, sources: Path) -> None:
    together = upscale.generate(REQUESTS[:4])
    other = made(model, sources)
    other.load("cpu")
    for image, each in zip(together, REQUESTS, strict=False):
        assert np.array_equal(image, other.generate([each])[0])


def test_each_source_comes_once_and_is_named_by_its_digest(upscale: SpandrelUpscale, sources: Path) -> None:
    given = [upscale.inputs(each) for each in REQUESTS]
    names = [each.parameters["source"] for each in given]
    assert sorted(names) == sorted(path.relative_to(sources).as_posix() for path in sources.rglob("*.png"))
    for each in given:
        content = (sources / each.parameters["source"]).read_bytes()
        assert each.derived_from == hashlib.sha256(content).hexdigest()
    assert len(upscale.sources(["whatever"])) == 8


def test_a_crop_is_kept_as_it_was_cut(model: Path, sources: Path) -> None:
    generator = made(model, sources, crop=[8, 4])
    generator.load("cpu")
    given = generator.inputs(REQUESTS[0])
    top, left = given.parameters["crop.top"], given.parameters["crop.left"]
    whole = np.asarray(Image.open(sources / given.parameters["source"]))
    assert np.array_equal(kept(generator, REQUESTS[0]), whole[top : top + 8, left : left + 4])
    assert generator.generate(REQUESTS[:1])[0].shape == (32, 16, 3)


def test_sources_are_left_out_where_they_may_not_be_kept(model: Path, sources: Path) -> None:
    generator = made(model, sources, keep_source=False)
    generator.load("cpu")
    assert generator.extra_fields == ()
    assert generator.inputs(REQUESTS[0]).fields == {}
    assert generator.inputs(REQUESTS[0]).derived_from


def test_the_identity_says_network_weights_and_sources(model: Path, sources: Path) -> None:
    generator = made(model.parent, sources, tile=44, overlap=20, images_license="public domain")
    identity = generator.load("cpu")
    assert (identity.model, identity.revision) == ("tiny-esrgan", "local")
    assert identity.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (identity.family, identity.license) == ("ESRGAN", "bsd-3-clause")
    expected = {
        "file": model.name,
        "scale": 4,
        "dtype": "float32",
        "tile": 44,
        "overlap": 20,
        "images": "low",
        "images_license": "public domain",
        "crop": None,
    }
    assert expected.items() <= identity.parameters.items()
    assert identity.synthetic
    json.dumps(identity.parameters)


def test_a_model_of_another_scale_is_refused_with_both_numbers(model: Path, sources: Path) -> None:
    message = r"'RealESRGAN_tiny\.pth' makes images 4 times as large, and the recipe says 2"
    with pytest.raises(RecipeError, match=message):
        made(model, sources, scale=2).load("cpu")
    made(model, sources, scale=4).load("cpu")


def test_the_digest_counts_weights_and_sources(model: Path, tmp_path: Path) -> None:
    root = real_folder(tmp_path / "real")
    before = made(model, root).digest()
    assert made(model, root).digest() == before
    other = write_upscaler(tmp_path / "other.safetensors", compact_state())
    assert made(other, root).digest() != before
    Image.fromarray(paint(999)).save(root / "Forest/0.png")
    assert made(model, root).digest() != before


def test_an_image_that_cannot_be_read_is_passed_over_and_named(model: Path, tmp_path: Path) -> None:
    root = real_folder(tmp_path / "real", count=1)
    (root / "Forest/0.png").write_bytes(b"x")
    generator = made(model, root)
    generator.load("cpu")
    given = [generator.inputs(each) for each in REQUESTS[:2]]
    assert {each.parameters["source"] for each in given} == {"River/0.png"}
    assert ["Forest/0.png"] in [each.parameters.get("unreadable") for each in given]
    assert len(generator.generate(REQUESTS[:2])) == 2


def test_too_little_memory_for_one_image_says_what_to_set(
    model: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    generator = made(model, sources)
    generator.load("cpu")

    def refuse(*args: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch.nn.functional, "conv2d", refuse)
    monkeypatch.setattr(torch.nn.Conv2d, "forward", refuse)
    with pytest.raises(UserError, match=r"16 x 16 pixels: out of memory\n.*set `tile` to less than 16"):
        generator.generate(REQUESTS[:1])


def test_a_model_that_is_not_there_is_an_error(sources: Path) -> None:
    with pytest.raises(WeightsError, match="is not converted yet"):
        made(Path("xinntao/realesr-animevideov3"), sources).digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile": 32, "overlap": 16}, "must be more than 32"),
        ({"scale": 0}, "greater than or equal to 1"),
        ({"width": 64}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SpandrelUpscaleOptions.model_validate({"model": "m", "images": "i"} | changes)
