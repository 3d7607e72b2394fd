"""Load a diffusers pipeline folder component by component, so that no weight is dropped in silence.

`DiffusionPipeline.from_pretrained` only warns, or says nothing, when a checkpoint has tensors that the class
in use does not know (DiffusionSat's 28 `metadata_embedding.*`, for example) or lacks some that it needs.
"""

from __future__ import annotations

import importlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

from synrs_data.errors import WeightsError
from synrs_data.models.source import ModelFolder

# Buffers that old transformers releases saved and every release recomputes; they are not weights.
_NOT_WEIGHTS = re.compile(r"(^|\.)(position_ids|embeddings\.position_ids)$")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")


def load_pipeline(model: ModelFolder, *, dtype: Any, variant: str | None = None) -> Any:
    """Load the text-to-image pipeline of a folder with every weight accounted for.

    Args:
        model: The folder, with its `model_index.json`.
        dtype: torch dtype of the weights.
        variant: File variant, such as "fp16"; None for the plain files.

    Returns:
        A diffusers pipeline on the CPU.

    Raises:
        WeightsError: The folder is no pipeline, weights are missing or truncated, or would be dropped.
    """
    from diffusers import AutoPipelineForText2Image, DiffusionPipeline

    quiet_libraries()
    index = _read_index(model.path)
    components: dict[str, Any] = {}
    for name, entry in index.items():
        if name.startswith("_") or not (isinstance(entry, list) and len(entry) == 2 and entry[0]):
            continue
        cls = _component_class(entry[0], entry[1], name, model.path)
        _check_vocabulary(cls, model.path / name)
        if hasattr(cls, "from_pretrained") and _has_weights(model.path / name):
            components[name] = _load_component(cls, model.path / name, dtype, variant)
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            str(model.path), dtype=dtype, local_files_only=True, **components
        )
        if "prompt" not in _call_names(pipeline) or "image" in _call_names(pipeline):
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


def quiet_libraries() -> None:
    """Keep progress bars and advice of the model libraries out of our own output; their errors still come."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    for logging in (diffusers_logging, transformers_logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()


def _read_index(path: Path) -> dict[str, Any]:
    file = path / "model_index.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            "is no diffusers pipeline: it has no model_index.json",
            where=str(path),
            fix="give the folder of a whole pipeline, not of one of its components",
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"cannot be read: {_first_line(error)}", where=str(file), fix="download the model again"
        ) from error
    if not isinstance(values, dict) or "_class_name" not in values:
        raise WeightsError("names no pipeline class", where=str(file), fix="download the model again")
    return values


def _component_class(library: str, name: str, component: str, path: Path) -> Any:
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
    import inspect

    return set(inspect.signature(type(pipeline).__call__).parameters)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
