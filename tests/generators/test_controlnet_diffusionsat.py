"""The generator `diffusionsat-controlnet` on random weights: images and their metadata reach the right rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from synrs_data.errors import RecipeError, UserError, WeightsError
from synrs_data.generators.controlnet_diffusionsat import (
    DiffusionSatControlNet,
    DiffusionSatControlNetOptions,
)
from synrs_data.generators.image_stacks import ImageStacks, read_image
from synrs_data.generators.metadata import diffusionsat_numbers
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.models.test_controlnet_sat import publish
from tests.real_folder import paint
from tests.tiny_controlnet import TINY, randomise, write_tiny_controlnet
from tests.tiny_families import write_sat_pipeline

STEPS, SIDE, DATES = 2, 16, 3
GEO = (
    GeoRecord(lon=10, lat=20, gsd_m=0.5, cloud=0.1, year=2017, month=2, day=11),
    GeoRecord(lon=-70, lat=-20, gsd_m=1.0),
)


def geo_of(number: int) -> GeoRecord:
    return GeoRecord(lon=5.0 * number, lat=-3.0, year=2000 + number)


def write_geo(path: Path, number: int) -> None:
    geo = geo_of(number)
    path.write_text(json.dumps({"lon": geo.lon, "lat": geo.lat, "year": geo.year}))


@pytest.fixture(scope="module")
def base(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sat_pipeline(tiny_pipeline, tmp_path_factory.mktemp("sat") / "base")


@pytest.fixture(scope="module")
def bands(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return folders of a base, a ControlNet of five bands at twice the resolution, and images."""
    from synrs_data.models.controlnet_sat import SatControlNet

    root = tmp_path_factory.mktemp("bands")
    own = {"conditioning_embedding_out_channels": (8, 8), "conditioning_scale": 0.5}
    net = SatControlNet(**TINY | own, conditioning_in_channels=5)
    randomise(net)
    publish(root / "net", net, "ControlNetModel")
    (root / "images").mkdir()
    for number in range(2):
        values = np.random.default_rng(number).random((2 * SIDE, 2 * SIDE, 5), dtype=np.float32)
        np.save(root / f"images/{number}.npy", values)
        write_geo(root / f"images/{number}.json", number)
    return {"model": str(base), "controlnet": str(root / "net"), "images": str(root / "images")}


@pytest.fixture(scope="module")
def dates(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return folders of a base, a ControlNet of several dates, and images."""
    from synrs_data.models.controlnet_sat import SatControlNet3D

    root = tmp_path_factory.mktemp("dates")
    net = SatControlNet3D(**TINY)
    randomise(net)
    publish(root / "net", net, "ControlNetModel3D")
    for number in range(2):
        folder = root / f"images/{number}"
        folder.mkdir(parents=True)
        for date in range(DATES):
            Image.fromarray(paint(10 * number + date, SIDE)).save(folder / f"{date}.png")
            write_geo(folder / f"{date}.json", 10 * number + date)
    return {"model": str(base), "controlnet": str(root / "net"), "images": str(root / "images")}


def loaded(folders: dict[str, str], **options: Any) -> DiffusionSatControlNet:
    own = {"steps": STEPS, "guidance_scale": 3.0, "width": SIDE, "height": SIDE}
    made = DiffusionSatControlNet(DiffusionSatControlNetOptions(**folders | own | options))
    made.load("cpu")
    return made


def requests(*names: str) -> list[Request]:
    return [Request(f"a scene {seed}", 0, seed, GEO[seed], image=name) for seed, name in enumerate(names)]


def numbers(records: Sequence[GeoRecord]) -> Any:
    import torch

    return torch.tensor([diffusionsat_numbers(record) for record in records])


def by_hand(
    made: DiffusionSatControlNet, given: list[Request], shown: Any, others: Any, guidance: float
) -> NDArray[np.float32]:
    """Denoise with the bare modules, one step after another, and return images of 0 to 1."""
    import torch

    pipe = made._pipeline
    guided = guidance > 1

    def encode(prompts: list[str]) -> Any:
        tokens = pipe.tokenizer(
            prompts, padding="max_length", max_length=16, truncation=True, return_tensors="pt"
        )
        return pipe.text_encoder(tokens.input_ids)[0]

    def both(values: Any, free: Any) -> Any:
        return torch.cat([free, values]) if guided else values

    with torch.no_grad():
        context = both(encode([item.prompt for item in given]), encode([""] * len(given)))
        target = numbers([item.geo for item in given])
        target, others = both(target, 0 * target), both(others, 0 * others)
        shown = both(shown, shown)
        noise = [
            torch.randn((1, 4, SIDE, SIDE), generator=torch.Generator().manual_seed(item.seed))
            for item in given
        ]
        latents = torch.cat(noise)
        pipe.scheduler.set_timesteps(STEPS)
        for step in pipe.scheduler.timesteps:
            sample = both(latents, latents)
            down, middle = pipe.controlnet(
                sample, step, context, shown, metadata=target, cond_metadata=others, return_dict=False
            )
            predicted = pipe.unet(
                sample,
                step,
                encoder_hidden_states=context,
                metadata=target,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
            if guided:
                free, bound = predicted.chunk(2)
                predicted = free + guidance * (bound - free)
            latents = pipe.scheduler.step(predicted, step, latents).prev_sample
        images = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    return np.asarray((images / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_images_from_bands_are_those_of_a_loop_over_the_bare_modules(
    bands: dict[str, str], guidance: float
) -> None:
    import torch

    made = loaded(bands, guidance_scale=guidance)
    given = requests("1.npy", "0.npy")
    arrays = [np.load(Path(bands["images"]) / item.image) for item in given]
    shown = torch.tensor(np.stack(arrays)).permute(0, 3, 1, 2)
    expected = by_hand(made, given, shown, numbers([geo_of(1), geo_of(0)]), guidance)
    assert expected.std() > 0.03
    found = np.stack(made.generate(given)) / 255
    assert np.abs(found - expected).max() < 0.51 / 255 + 1e-5


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_images_from_dates_are_those_of_a_loop_over_the_bare_modules(
    dates: dict[str, str], guidance: float
) -> None:
    import torch

    made = loaded(dates, guidance_scale=guidance)
    given = requests("1", "0")
    stacks = [np.stack([paint(10 * n + date, SIDE) for date in range(DATES)]) for n in (1, 0)]
    shown = torch.tensor(np.stack(stacks)).permute(0, 4, 1, 2, 3) / 255
    others = torch.stack([numbers([geo_of(10 * n + d) for d in range(DATES)]).T for n in (1, 0)])
    expected = by_hand(made, given, shown, others, guidance)
    assert expected.std() > 0.03
    found = np.stack(made.generate(given)) / 255
    assert np.abs(found - expected).max() < 0.51 / 255 + 1e-5


def test_nothing_of_a_batch_is_left_for_the_next(bands: dict[str, str]) -> None:
    made = loaded(bands)
    first = made.generate(requests("0.npy", "1.npy"))
    made.generate(requests("1.npy"))
    again = made.generate(requests("0.npy", "1.npy"))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not made._pipeline.controlnet._forward_pre_hooks


def test_a_sample_names_the_image_it_is_derived_from(bands: dict[str, str], dates: dict[str, str]) -> None:
    inputs = loaded(bands).inputs(requests("1.npy")[0])
    content = (Path(bands["images"]) / "1.npy").read_bytes()
    assert inputs.derived_from == hashlib.sha256(content).hexdigest()
    assert inputs.parameters == {"source": "1.npy"}
    stacked = loaded(dates).inputs(requests("1")[0])
    assert (len(stacked.derived_from), stacked.parameters) == (64, {"source": "1"})


def test_no_image_may_be_one_of_the_evaluation(
    bands: dict[str, str], dates: dict[str, str], tmp_path: Path
) -> None:
    from synrs_data.build.sources import check_sources

    Image.fromarray(paint(12, SIDE)).save(tmp_path / "real.png")
    own = {"width": SIDE, "height": SIDE, "evaluation": str(tmp_path)}

    def check(folders: dict[str, str], **options: Any) -> None:
        check_sources(DiffusionSatControlNet(DiffusionSatControlNetOptions(**folders | own | options)), ["x"])

    with pytest.raises(UserError, match=r"images/1/2\.png: this source is the same file as"):
        check(dates)
    with pytest.raises(UserError, match=r"0\.npy: is an array of bands, which cannot be compared"):
        check(bands)
    check(bands, evaluation=None)


def test_images_and_their_metadata_count_in_the_digest(dates: dict[str, str], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(dates["images"], tmp_path / "images")
    found = [ImageStacks(tmp_path / "images", dates=True).digest()]
    (tmp_path / "images/0/1.json").unlink()
    found.append(ImageStacks(tmp_path / "images", dates=True).digest())
    Image.fromarray(paint(77)).save(tmp_path / "images/0/1.png")
    found.append(ImageStacks(tmp_path / "images", dates=True).digest())
    assert len(set(found)) == 3


def test_wrong_nets_and_missing_sizes_are_refused(bands: dict[str, str], tmp_path: Path) -> None:
    stock = write_tiny_controlnet(tmp_path / "stock")
    with pytest.raises(WeightsError, match="is a stock ControlNet"):
        loaded(bands | {"controlnet": str(stock)})
    with pytest.raises(RecipeError, match="which size they were trained with"):
        loaded(bands, width=None)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no folders of images"):
        ImageStacks(tmp_path, dates=True).digest()
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(paint(1)).save(tmp_path / name)
    with pytest.raises(UserError, match="b: has 1 dates, but 'a' has 2"):
        ImageStacks(tmp_path, dates=True).digest()
    stacks = ImageStacks(tmp_path, dates=False)
    with pytest.raises(UserError, match=r"has no image 'c\.png'"):
        stacks.choose(requests("c.png")[0])
    assert len({stacks.choose(Request("x", 0, seed, GeoRecord())).key for seed in range(60)}) == 3
    for text in ("[]", "{", '{"altitude": 1}'):
        (tmp_path / "b/0.json").write_text(text)
        with pytest.raises(UserError, match=r"b/0\.json: is no JSON"):
            stacks.digest()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 4, 5), dtype=np.float32), "has 5 bands, not the 3"),
        (np.zeros((4, 4, 3), dtype=np.uint16), "not finite floating-point"),
        (np.zeros((4, 4), dtype=np.float32), "not finite floating-point"),
        (np.full((4, 4, 3), np.nan), "not finite floating-point"),
        (np.array([{}], dtype=object), "cannot be read as an array"),
    ],
)
def test_arrays_that_are_no_bands_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    with pytest.raises(UserError, match=message):
        read_image(tmp_path / "x.npy", 4, 4, 3)


def test_bands_of_another_size_are_cut_and_resampled_without_aliasing(tmp_path: Path) -> None:
    values = np.zeros((32, 64, 4), dtype=np.float32)
    values[:, 16:48:2] = 1
    np.save(tmp_path / "x.npy", values)
    found = read_image(tmp_path / "x.npy", 12, 12, 4)
    assert found.shape == (4, 12, 12)
    assert np.abs(found[:, :, 2:-2] - 0.5).max() < 0.15
