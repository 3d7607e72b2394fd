"""Networks of spandrel: the images it gives itself, tiles without seams, no weights dropped, no code run."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import MissingExtraError, RecipeError, WeightsError
from tests.real_folder import paint
from tests.tiny_upscaler import compact_state, rrdb_state, write_upscaler

pytest.importorskip("spandrel", reason="the extra `sr` is not installed")

from synrs_data.models.spandrel_model import Upscaler, windows


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_spandrel(path: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import torch
    from spandrel import ModelLoader

    network = ModelLoader().load_from_file(path).eval()
    result = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    found: NDArray[np.uint8] = (result[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return found


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_upscaler(tmp_path_factory.mktemp("compact") / "compact.pth", compact_state())


@pytest.mark.parametrize("ending", [".pth", ".pt", ".ckpt", ".safetensors"])
def test_the_image_is_the_one_that_spandrel_gives(tmp_path: Path, ending: str) -> None:
    path = write_upscaler(tmp_path / f"esrgan{ending}", rrdb_state())
    upscaler = Upscaler(path)
    assert (upscaler.scale, upscaler.architecture) == (4, "ESRGAN")
    assert {"4nf", "1nb"} <= set(upscaler.tags)
    image = noise(7, 10)
    found = upscaler.upscale(image)
    assert found.shape == (28, 40, 3)
    assert found.std() > 3
    assert np.array_equal(found, by_spandrel(path, image))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_other_scales_are_told_by_the_tensors(tmp_path: Path, scale: int) -> None:
    upscaler = Upscaler(write_upscaler(tmp_path / "x.safetensors", compact_state(scale=scale)))
    assert upscaler.scale == scale
    assert upscaler.upscale(noise(5, 6)).shape == (5 * scale, 6 * scale, 3)


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize(("tile", "overlap"), [(None, 16), (40, 16), (16, 3), (16, 0), (12, 4)])
def test_tiles_keep_every_pixel_once_and_see_the_overlap_around_it(
    tile: int | None, overlap: int, step: int
) -> None:
    for side in range(1, 101):
        found = windows(side, tile, overlap, step)
        assert [pixel for each in found for pixel in range(each.first, each.last)] == list(range(side))
        for each in found:
            assert 0 <= each.start <= each.first < each.last <= each.stop <= side
            assert each.start % step == 0
            assert each.first - each.start >= overlap or each.first == 0
            assert each.stop - each.last >= overlap or each.last == side
            assert tile is None or each.stop - each.start < tile + step


def test_tiles_give_the_whole_image_if_the_network_sees_no_further_than_their_overlap(compact: Path) -> None:
    # Three convolutions of 3x3 see three pixels to each side.
    image = noise(29, 50)
    whole = Upscaler(compact).upscale(image)
    difference = np.abs(Upscaler(compact, tile=12, overlap=3).upscale(image).astype(int) - whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001
    seams = np.abs(Upscaler(compact, tile=12, overlap=0).upscale(image).astype(int) - whole)
    assert seams.max() > 3


def test_an_rrdbnet_in_tiles_gives_the_whole_image_away_from_the_seams(tmp_path: Path) -> None:
    path = write_upscaler(tmp_path / "x.pth", rrdb_state())
    image = noise(20, 60)
    whole = Upscaler(path).upscale(image)
    difference = np.abs(Upscaler(path, tile=44, overlap=20).upscale(image).astype(int) - whole)
    assert difference.max() <= 1


def test_tiles_of_a_network_that_takes_pixels_by_blocks_begin_with_its_blocks(tmp_path: Path) -> None:
    # Real-ESRGAN's x2 networks take 2x2 pixels as channels; spandrel pads to multiples of 4.
    state = rrdb_state()
    import torch

    state["conv_first.weight"] = torch.randn(4, 12, 3, 3, generator=torch.Generator().manual_seed(1)) / 10
    upscaler = Upscaler(write_upscaler(tmp_path / "x2.pth", state), tile=99, overlap=42)
    assert upscaler.scale == 2
    image = noise(16, 150)
    whole = Upscaler(tmp_path / "x2.pth").upscale(image)
    assert np.abs(upscaler.upscale(image).astype(int) - whole).max() <= 1
    with pytest.raises(RecipeError, match="leaves less than the 4"):
        Upscaler(tmp_path / "x2.pth", tile=35, overlap=16)


def test_sides_that_a_network_cannot_take_are_padded_and_cut(tmp_path: Path) -> None:
    import torch

    state = rrdb_state()
    state["conv_first.weight"] = torch.randn(4, 12, 3, 3, generator=torch.Generator().manual_seed(1)) / 10
    upscaler = Upscaler(write_upscaler(tmp_path / "x2.pth", state))
    assert upscaler.upscale(noise(5, 7)).shape == (10, 14, 3)
    assert upscaler.upscale(noise(1, 1)).shape == (2, 2, 3)


def test_an_image_does_not_depend_on_what_was_run_before(compact: Path) -> None:
    import torch

    upscaler = Upscaler(compact)
    state = torch.get_rng_state()
    first = upscaler.upscale(paint(1), seed=5)
    upscaler.upscale(noise(9, 4))
    assert np.array_equal(upscaler.upscale(paint(1), seed=5), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_is_near_and_refused_where_the_network_has_none(tmp_path: Path, compact: Path) -> None:
    image = paint(3)
    whole = Upscaler(compact).upscale(image).astype(int)
    for dtype in ("float16", "bfloat16"):
        difference = np.abs(Upscaler(compact, dtype=dtype).upscale(image) - whole)
        assert difference.max() > 0
        assert difference.mean() < 2


def test_a_dtype_that_the_network_does_not_support_is_refused(
    compact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spandrel import ImageModelDescriptor

    make = ImageModelDescriptor.__init__

    def without_half(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options | {"supports_half": False})

    monkeypatch.setattr(ImageModelDescriptor, "__init__", without_half)
    with pytest.raises(RecipeError, match="Compact does not support float16"):
        Upscaler(compact, dtype="float16")


def test_values_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    state = compact_state()
    state["body.4.weight"] *= 1e38
    state["body.2.weight"] *= 1e38
    with pytest.raises(RecipeError, match="not finite in float32"):
        Upscaler(write_upscaler(tmp_path / "x.pth", state)).upscale(paint(1))


def test_a_tensor_that_the_loader_would_leave_out_is_named(tmp_path: Path) -> None:
    import torch

    state = rrdb_state() | {"attention.weight": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"ESRGAN would drop 1 tensors: attention\.weight"):
        Upscaler(write_upscaler(tmp_path / "x.pth", state))


def test_a_missing_tensor_is_an_error(tmp_path: Path) -> None:
    state = rrdb_state()
    del state["body.0.rdb2.conv3.bias"]
    with pytest.raises(WeightsError, match="spandrel cannot load this model"):
        Upscaler(write_upscaler(tmp_path / "x.pth", state))


def test_a_network_of_other_channels_is_refused(tmp_path: Path) -> None:
    import torch

    state = compact_state()
    state["body.0.weight"] = torch.randn(8, 1, 3, 3)
    state["body.4.weight"], state["body.4.bias"] = torch.randn(4, 8, 3, 3), torch.randn(4)
    with pytest.raises(WeightsError, match="makes 1 channels of 1"):
        Upscaler(write_upscaler(tmp_path / "x.pth", state))


def test_a_network_that_needs_masks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import spandrel

    class Masked:
        architecture = type("Arch", (), {"name": "LaMa"})

    monkeypatch.setattr(spandrel.ModelLoader, "load_from_state_dict", lambda self, state: Masked())
    with pytest.raises(WeightsError, match="is a LaMa, which needs a mask"):
        Upscaler(write_upscaler(tmp_path / "x.pth", compact_state()))


def test_tensors_of_no_known_network_are_refused(tmp_path: Path) -> None:
    import torch

    with pytest.raises(WeightsError, match="no network that spandrel knows"):
        Upscaler(write_upscaler(tmp_path / "x.safetensors", {"a": torch.ones(1)}))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, ending: str) -> None:
    path = write_upscaler(tmp_path / f"x{ending}", compact_state())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(WeightsError, match="cannot be read"):
        Upscaler(path)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm-was-done"),))


@pytest.mark.parametrize("ending", [".pth", ".pt", ".ckpt"])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"x{ending}"
    torch.save({"params_ema": compact_state(), "more": Harmful()}, path)
    with pytest.raises(WeightsError, match="no code from outside is run"):
        Upscaler(path)
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(WeightsError):
        Upscaler(path)
    assert not (tmp_path / "harm-was-done").exists()


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save([torch.ones(1)], tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        Upscaler(tmp_path / "x.pth")


def test_without_spandrel_one_message_says_what_to_install(
    compact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = builtins.__import__

    def absent(name: str, *args: Any, **options: Any) -> Any:
        if name == "spandrel":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return really(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"synrs-data\[sr\]"):
        Upscaler(compact)
