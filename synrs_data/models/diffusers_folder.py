"""Load a diffusers pipeline folder component by component, so that no weight is dropped in silence.

`DiffusionPipeline.from_pretrained` only warns, or says nothing, when a checkpoint has tensors that the class
in use does not know (DiffusionSat's 28 `metadata_embedding.*`, for example) or lacks some that it needs.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

from synrs_data.errors import WeightsError
from synrs_data.models.families import Family, Layout, detect
from synrs_data.models.source import ModelFolder

# Buffers that old transformers releases saved and every release recomputes; they are not weights.
_NOT_WEIGHTS = re.compile(r"(^|\.)(position_ids|embeddings\.position_ids)$")
_RENAMED = {"CLIPFeatureExtractor": "CLIPImageProcessor"}
"""Classes that pipelines of 2023 name, and what transformers 5 calls them."""
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")


def load_pipeline(
    model: ModelFolder, *, dtype: Any, variant: str | None = None, as_named: bool = False
) -> Any:
    """Load the text-to-image pipeline of a folder with every weight accounted for.

    Args:
        model: The folder, with its `model_index.json`.
        dtype: torch dtype of the weights.
        variant: File variant, such as "fp16"; None for the plain files.
        as_named: Whether to return the pipeline that the folder names, whatever it does.

    Returns:
        A diffusers pipeline on the CPU.

    Raises:
        WeightsError: The folder is no pipeline, weights are missing or truncated, or would be dropped.
    """
    quiet_libraries()
    from diffusers import AutoPipelineForText2Image

    layout = detect(model.path)
    index = _read_index(model.path, layout)
    ours = layout.family in (Family.DIFFUSIONSAT, Family.TEXT2EARTH)
    components: dict[str, Any] = {}
    for name, entry in index.items():
        if name.startswith("_") or not (isinstance(entry, list) and len(entry) == 2 and entry[0]):
            continue
        folder = layout.unet if name == "unet" and layout.unet is not None else model.path / name
        if name == "unet" and ours:
            cls = _unet_class(layout.family)
        else:
            cls = _component_class(entry[0], entry[1], name, model.path)
        _check_vocabulary(cls, folder)
        if hasattr(cls, "from_pretrained") and _has_weights(folder):
            components[name] = _load_component(cls, folder, dtype, variant)
        elif ours:
            components[name] = _load_settings(cls, folder)
    try:
        pipeline = (
            _assemble(index, layout, components) if ours else _load_stock(model.path, dtype, components)
        )
        if not as_named and ("prompt" not in _call_names(pipeline) or "image" in _call_names(pipeline)):
            # A pipeline that edits images or needs no text; its parts may make images from text all the same.
            pipeline = AutoPipelineForText2Image.from_pipe(pipeline)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise WeightsError(
            f"diffusers cannot load this pipeline: {_first_line(error)}",
            where=str(model.path),
            fix="check that the folder is a whole text-to-image pipeline of diffusers",
        ) from error
    _refuse_idle(set(components) - set(pipeline.components), pipeline, model.path)
    return pipeline


def _load_stock(path: Path, dtype: Any, components: dict[str, Any]) -> Any:
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(str(path), dtype=dtype, local_files_only=True, **components)


def _assemble(index: dict[str, Any], layout: Layout, components: dict[str, Any]) -> Any:
    """Return the pipeline of components that are all loaded.

    Where model_index.json names classes of the authors' own code, `from_pretrained` raises or wants to run it.
    """
    import diffusers

    name = index["_class_name"]
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if cls is None or not issubclass(cls, diffusers.DiffusionPipeline):
        cls = (
            diffusers.StableDiffusionInpaintPipeline
            if layout.inpainting
            else diffusers.StableDiffusionPipeline
        )
    parameters = inspect.signature(cls.__init__).parameters
    arguments = {
        key: value
        for key, value in index.items()
        if key in parameters and not key.startswith("_") and not isinstance(value, list)
    }
    absent = {key: None for key, value in index.items() if key in parameters and value == [None, None]}
    for key in ("safety_checker", "feature_extractor"):
        if key in parameters and key not in components:
            absent[key] = None
    if components.get("safety_checker") is None and "requires_safety_checker" in parameters:
        arguments["requires_safety_checker"] = False
    known = {key: value for key, value in components.items() if key in parameters}
    return cls(**absent | arguments | known)


def _unet_class(family: Family) -> Any:
    if family is Family.DIFFUSIONSAT:
        from synrs_data.models.sat_unet import SatUNet

        return SatUNet
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel


def _load_settings(cls: Any, folder: Path) -> Any:
    """Return a component without weights: a scheduler, tokenizer or image processor."""
    try:
        return cls.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise WeightsError(
            f"diffusers cannot load this component: {_first_line(error)}",
            where=str(folder),
            fix="download the model again, whole",
        ) from error


def quiet_libraries() -> None:
    """Keep progress bars and advice of the model libraries out of our own output; their errors still come."""
    # Before the first import: diffusers' tells what torch retires, and bitsandbytes', which peft imports where it
    # is there, of kernels that nothing here uses.
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


_NOT_A_PIPELINE = {
    Family.CONTROLNET: (
        "is a ControlNet, no diffusers pipeline: it has no model_index.json",
        "name it by `controlnet` of the generator `controlnet`, and its base by `model`",
    ),
    Family.LORA: (
        "is a LoRA, no diffusers pipeline: it has no model_index.json",
        "name the pipeline that it was trained on by `model`, and this by `lora`",
    ),
    Family.SINGLE_FILE: (
        "is one file of the original latent-diffusion code ({file}), no diffusers pipeline",
        "convert it once with diffusers (StableDiffusionPipeline.from_single_file, then save_pretrained), "
        "and name the folder of the result",
    ),
    Family.UNKNOWN: (
        "is no diffusers pipeline: it has no model_index.json",
        "give the folder of a whole pipeline, not of one of its components",
    ),
}


def _read_index(path: Path, layout: Layout) -> dict[str, Any]:
    file = path / "model_index.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what, fix = _NOT_A_PIPELINE[layout.family]
        name = "" if layout.file is None else layout.file.name
        raise WeightsError(what.format(file=name), where=str(path), fix=fix) from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"cannot be read: {_first_line(error)}", where=str(file), fix="download the model again"
        ) from error
    if not isinstance(values, dict) or "_class_name" not in values:
        raise WeightsError("names no pipeline class", where=str(file), fix="download the model again")
    return values


def _component_class(library: str, name: str, component: str, path: Path) -> Any:
    name = _RENAMED.get(name, name) if isinstance(name, str) else name
    try:
        module = importlib.import_module(
            library if library in ("diffusers", "transformers") else f"diffusers.{library}"
        )
        return getattr(module, str(name))
    except (ImportError, AttributeError):
        pass
    try:
        # model_index.json names a class of one of diffusers' pipelines by the pipeline's folder.
        return getattr(importlib.import_module(f"diffusers.pipelines.{library}"), str(name))
    except (ImportError, AttributeError) as error:
        raise WeightsError(
            f"its component '{component}' is a {library}.{name}, which the installed diffusers does not have",
            where=str(path),
            fix="choose a pipeline of stock diffusers classes, or a generator made for this model",
        ) from error


def _check_vocabulary(cls: Any, folder: Path) -> None:
    """Raise if a tokenizer has no vocabulary: transformers makes one that reads every prompt as the same."""
    if "Tokenizer" in cls.__name__ and not any(next(folder.glob(name), None) for name in _VOCABULARIES):
        raise WeightsError(
            f"the tokenizer has no vocabulary ({', '.join(_VOCABULARIES)})",
            where=str(folder),
            fix="download the model again, whole",
        )


def _refuse_idle(names: set[str], pipeline: Any, path: Path) -> None:
    if names:
        raise WeightsError(
            f"{type(pipeline).__name__} has no use for the component {', '.join(sorted(names))}, "
            "whose weights would be dropped",
            where=str(path),
            fix="use the generator made for this model; loading it in part would give other images",
        )


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def _load_component(cls: Any, folder: Path, dtype: Any, variant: str | None) -> Any:
    from diffusers import ModelMixin
    from safetensors import SafetensorError

    # Both libraries refuse pickles with code in them.
    options: dict[str, Any] = {"output_loading_info": True, "local_files_only": True, "dtype": dtype}
    if variant is not None:
        options["variant"] = variant
    if issubclass(cls, ModelMixin):
        options["low_cpu_mem_usage"] = False
        if not any(folder.glob("*.safetensors")):
            # Without this, diffusers looks for safetensors first and logs that it failed, though all is well.
            options["use_safetensors"] = False
    try:
        component, report = cls.from_pretrained(str(folder), **options)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "the weights are a pickle that holds more than tensors, and no code from outside is run",
            where=str(folder),
            fix="get the model as safetensors",
        ) from error
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        SafetensorError,
    ) as error:
        raise WeightsError(
            f"weights cannot be loaded: {_first_line(error)}",
            where=str(folder),
            fix="download the model again, whole",
        ) from error
    _refuse_partial(cls, folder, report)
    return component


def _refuse_partial(cls: Any, folder: Path, report: dict[str, Any]) -> None:
    """Raise if the checkpoint has tensors that the class ignores, or lacks some that it needs."""
    faults = []
    for kind, sentence in (
        ("unexpected_keys", "would be dropped"),
        ("missing_keys", "are missing and would be random"),
        ("mismatched_keys", "have another shape"),
    ):
        found = [key if isinstance(key, str) else key[0] for key in report.get(kind) or ()]
        keys = sorted(key for key in found if not _NOT_WEIGHTS.search(key))
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            faults.append(f"{len(keys)} tensors {sentence}: {', '.join(keys[:3])}{more}")
    if faults:
        raise WeightsError(
            f"{cls.__name__} does not fit these weights: {'; '.join(faults)}",
            where=str(folder),
            fix="use the generator made for this model; loading it in part would give other images",
        )


def _call_names(pipeline: Any) -> set[str]:
    return set(inspect.signature(type(pipeline).__call__).parameters)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
