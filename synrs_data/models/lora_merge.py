"""Merge a LoRA into the weights of a pipeline, every tensor of its file accounted for.

diffusers only warns, or says nothing, where a tensor of a LoRA matches no weight of the pipeline, or is of a kind that
it filters out (the magnitudes of DoRA, `dora_scale`), and of alphas that are not all equal it loses some. So after
loading, each tensor of the file is looked for among the weights that were added, by its contents: names differ
between the formats of trainers.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.models.diffusers_folder import _first_line, quiet_libraries
from synrs_data.models.families import is_lora
from synrs_data.models.lora import OPTION, Lora

_ALPHA = ".alpha"
_DOWN = (".lora_down.weight", ".lora.down.weight", ".lora_linear_layer.down.weight", ".lora_A.weight")
"""How the names of the matrices A end in the formats of kohya-ss, diffusers (two of old) and peft."""

_ADAPTER = "lora"


def merge_lora(pipeline: Any, lora: Lora, scale: float) -> None:
    """Add `scale * alpha / r * B A` to each weight that the LoRA changes (Hu et al., ICLR 2022, section 4.1).

    A layer without an alpha in the file or its header has alpha = r, as diffusers takes it. Afterwards the pipeline has
    its own classes of layers again, so it is as fast as without and can be compiled.

    Args:
        pipeline: A diffusers pipeline on the CPU.
        lora: The LoRA.
        scale: Its strength.

    Raises:
        RecipeError: The pipeline takes no LoRA.
        WeightsError: The file is damaged or no LoRA, is not made for this pipeline, or would be loaded in part.
    """
    from diffusers.loaders.lora_base import LoraBaseMixin

    kind = type(pipeline).__name__
    if not isinstance(pipeline, LoraBaseMixin):
        raise RecipeError(f"{kind} takes no LoRA", where=OPTION, fix="take it out of the recipe")
    tensors = _read(lora.file)
    _load(pipeline, lora.file)
    parts = [name for name in pipeline._lora_loadable_modules if getattr(pipeline, name, None) is not None]
    added = list(_added([getattr(pipeline, name) for name in parts]))
    _refuse_partial(tensors, added, kind, lora.file)
    _set_alphas(tensors, added)
    try:
        pipeline.fuse_lora(components=parts, lora_scale=scale, safe_fusing=True, adapter_names=[_ADAPTER])
    except ValueError as error:
        raise WeightsError(
            f"cannot be merged: {_first_line(error)}",
            where=str(lora.file),
            fix="download it again, choose a smaller `lora_scale`, or `dtype: float32`",
        ) from error
    pipeline.unload_lora_weights()


def _read(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Any] = load_file(file)
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(
            f"cannot be read: {_first_line(error)}", where=str(file), fix="download it again, whole"
        ) from error
    if not is_lora(tensors):
        names = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise WeightsError(
            f"is no LoRA: it holds {names}",
            where=str(file),
            fix="name a LoRA by `lora`, and a whole pipeline by `model`",
        )
    return tensors


def _load(pipeline: Any, file: Path) -> None:
    """Add the layers of the LoRA to the pipeline's own, as diffusers does it."""
    import diffusers.utils.logging as diffusers_logging
    from safetensors import SafetensorError

    # Of what goes wrong our own message says what to do.
    diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # peft warns of what is refused or mended below.
            warnings.simplefilter("ignore", RuntimeWarning)
            pipeline.load_lora_weights(
                str(file.parent),
                weight_name=file.name,
                adapter_name=_ADAPTER,
                use_safetensors=True,
                local_files_only=True,
            )
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        SafetensorError,
    ) as error:
        raise WeightsError(
            f"diffusers cannot load this LoRA into the {type(pipeline).__name__}: {_start(error)}",
            where=str(file),
            fix="name the base that its card names by `model`; LoHa, LoKr and DoRA are no LoRA",
        ) from error
    finally:
        quiet_libraries()


def _added(models: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, tensor and layer of every weight that was added to these models."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for model in models:
        for place, layer in model.named_modules():
            if isinstance(layer, BaseTunerLayer):
                for name, tensor in layer.named_parameters():
                    if not name.startswith("base_layer."):
                        yield f"{place}.{name}", tensor, layer


def _refuse_partial(
    tensors: dict[str, Any], added: list[tuple[str, Any, Any]], kind: str, file: Path
) -> None:
    """Raise if a tensor of the file was added nowhere, or a weight that was added is not in the file."""
    missing = sorted(name for name, tensor, _ in added if tensor.is_meta)
    room = Counter(_contents(tensor) for _, tensor, _ in added if not tensor.is_meta)
    dtypes = {dtype for dtype, _ in room}
    lost = []
    for name, tensor in sorted(tensors.items()):
        if name.endswith(_ALPHA):
            if _matrix_of(name, tensors) is None:
                lost.append(name)
            continue
        place = next((contents for contents in _casts(tensor, dtypes) if room[contents]), None)
        if place is None:
            lost.append(name)
        else:
            room[place] -= 1
    faults = [
        f"{len(names)} tensors {sentence}: {', '.join(names[:3])}{_more(names)}"
        for names, sentence in (
            (lost, f"match nothing in the {kind} and would be dropped"),
            (missing, "are missing and would be random"),
        )
        if names
    ]
    if faults:
        raise WeightsError(
            f"this LoRA does not fit: {'; '.join(faults)}",
            where=str(file),
            fix="name the base that its card names by `model`; if it is that, write the LoRA with diffusers' "
            "`save_lora_weights`, whose format is known",
        )


def _set_alphas(tensors: dict[str, Any], added: list[tuple[str, Any, Any]]) -> None:
    """Give each layer the alpha / r of the file."""
    layers = {_contents(tensor): layer for _, tensor, layer in added}
    dtypes = {dtype for dtype, _ in layers}
    for name in tensors:
        if name.endswith(_ALPHA):
            matrix = _matrix_of(name, tensors)
            layer = next(layers[contents] for contents in _casts(matrix, dtypes) if contents in layers)
            layer.scaling[_ADAPTER] = float(tensors[name]) / len(matrix)


def _matrix_of(alpha: str, tensors: dict[str, Any]) -> Any:
    """Return the matrix A, (r, ...), that an alpha belongs to; None if the file has none."""
    base = alpha.removesuffix(_ALPHA)
    return next((tensors[base + ending] for ending in _DOWN if base + ending in tensors), None)


def _casts(tensor: Any, dtypes: set[Any]) -> Iterator[tuple[Any, str]]:
    """Yield what the contents of a tensor of the file may be where it was added."""
    yield _contents(tensor)
    for dtype in dtypes - {tensor.dtype}:
        yield _contents(tensor.to(dtype))


def _contents(tensor: Any) -> tuple[Any, str]:
    """Return type and hash of a tensor's numbers, whatever its shape: a matrix may be a convolution of size one."""
    import torch

    data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return tensor.dtype, hashlib.blake2b(data, digest_size=16).hexdigest()


def _start(error: BaseException) -> str:
    """Return the start of a message on one line: after diffusers' first line come the names of tensors."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."


def _more(names: list[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""
