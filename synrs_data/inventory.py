"""What synrs-data knows, for `list`, and what the machine has, for `doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from pydantic import BaseModel

from synrs_data import resources
from synrs_data.evaluate.protocols.base import describe_protocols
from synrs_data.recipe import Recipe
from synrs_data.registry import Kind, lookup, targets
from synrs_data.vocabulary import load_label_set, load_template_set, read_yaml


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `doctor`.

    Attributes:
        fine: Whether all is well.
        what: What was looked at, and what was found.
        fix: What to do if it is not.
    """

    fine: bool
    what: str
    fix: str = ""


def describe(kind: str) -> Iterator[str]:
    """Yield the lines of one list."""
    if kind == "recipes":
        for name, path in resources.recipes().items():
            values = read_yaml(path)
            yield f"{name}: {values.get('title') or values.get('description', '')}"
    elif kind == "labels":
        for name in resources.named_files("builders/vocab/labels"):
            labels = load_label_set(name)
            yield f"{name}: {len(labels.labels)} labels of {labels.title}"
    elif kind == "templates":
        for name in resources.named_files("builders/vocab/templates"):
            templates = load_template_set(name)
            yield f"{name}: {len(templates.templates)} templates, hash {templates.digest}"
    elif kind == "models":
        for name, path in resources.embedded_models().items():
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            yield f"{name}: embedded, {size / 2**20:.1f} MiB"
    elif kind == "protocols":
        for name, options in describe_protocols():
            yield f"{name}: trains the classifiers of `synrs-data eval run --protocol {name}`"
            yield from _options(options)
    else:
        yield from _methods(cast("Kind", kind))
        if kind == "baselines":
            yield from _super_resolution()


def _methods(kind: Kind) -> Iterator[str]:
    for name in targets(kind):
        cls = lookup(kind, name)
        summary = (sys.modules[cls.__module__].__doc__ or cls.__doc__ or "").strip().splitlines()[0]
        yield f"{name}: {summary.split(': ', 1)[-1]}"
        yield from _options(cls.Options)


def _super_resolution() -> Iterator[str]:
    """Yield the baselines of super-resolution, which are no registered methods: plugins cannot add any."""
    from synrs_data.evaluate.super_resolution.compact import COMPACT
    from synrs_data.evaluate.super_resolution.training import TrainingOptions
    from synrs_data.evaluate.super_resolution.upscalers import UPSCALERS, upscaler_class

    for name in UPSCALERS:
        cls = upscaler_class(name)
        yield f"{name} (super-resolution): {(cls.__doc__ or '').strip().splitlines()[0]}"
        yield from _options(cls.Options)
    yield f"{COMPACT} (super-resolution): the compact residual network, trained on every arm and seed"
    yield from _options(TrainingOptions)


def _options(model: type[BaseModel]) -> Iterator[str]:
    for option, field in model.model_fields.items():
        default = "required" if field.is_required() else f"{field.default!r}"
        yield f"    {option} ({default}): {field.description or ''}"


_KEYS = {
    "captions": "captions",
    "generators": "generator",
    "degradations": "degradation",
    "filters": "filters",
}


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of recipes, with a choice of options by method."""
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    for kind, key in _KEYS.items():
        variants = []
        for name in targets(cast("Kind", kind)):
            options = lookup(cast("Kind", kind), name).Options.model_json_schema()
            definitions |= options.pop("$defs", {})
            options["properties"] = {"method": {"const": name}, **options.get("properties", {})}
            options["required"] = ["method", *options.get("required", [])]
            definitions[f"{kind}.{name}"] = options
            variants.append({"$ref": f"#/$defs/{kind}.{name}"})
        place = schema["properties"][key]
        if key == "filters":
            place["items"] = {"oneOf": variants}
        else:
            # An optional method, such as a degradation, stays optional.
            optional = [{"type": "null"}] if "anyOf" in place else []
            for name in ("$ref", "anyOf"):
                place.pop(name, None)
            place["oneOf"] = variants + optional
    definitions.pop("MethodSpec", None)
    return schema


def examine() -> Iterator[Check]:
    """Yield what this machine has and lacks; asks no network."""
    yield Check(
        sys.version_info >= (3, 11), f"Python {platform.python_version()}", "install Python 3.11 or newer"
    )
    for package in (
        "torch",
        "torchvision",
        "diffusers",
        "transformers",
        "open_clip_torch",
        "datasets",
        "webdataset",
    ):
        yield _package(package, "pip install synrs-data", required=True)
    yield _package("pyiqa", 'pip install "synrs-data[iqa]" (licensed for non-commercial use)', required=False)
    yield _package("peft", 'pip install "synrs-data[lora]" (for LoRA weights)', required=False)
    yield _package("spandrel", 'pip install "synrs-data[sr]" (for super-resolution networks)', required=False)
    yield from _devices()
    cores = len(os.sched_getaffinity(0))
    yield Check(True, f"{cores} CPU cores: builds on the CPU use one worker a core")
    free = shutil.disk_usage(".").free / 2**30
    yield Check(
        free > 5, f"{free:.0f} GiB free in this folder", "free some space, or build with --out elsewhere"
    )
    for name in ("eurosat-tiny", "eurosat-tiny-clip"):
        found = name in resources.embedded_models()
        yield Check(found, f"embedded model {name}", "install the package again: its weights are missing")
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    yield Check(
        True,
        f"Hugging Face Hub: {'offline by HF_HUB_OFFLINE' if offline else 'asked only for models named by a Hub id'}",
    )


def _package(name: str, fix: str, *, required: bool) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(False, f"{name}{'' if required else ' (optional)'}", fix)
    if name == "torchvision" and importlib.util.find_spec("torchvision") is not None:
        try:
            import torchvision  # noqa: F401 - a torch of another build fails only when it is imported
        except RuntimeError as error:
            return Check(
                False,
                f"torchvision {found}: {error}",
                "install torch and torchvision together, from one index",
            )
    return Check(True, f"{name} {found}")


def _devices() -> Iterator[Check]:
    try:
        import torch
    except ImportError:
        return
    count = torch.cuda.device_count()
    for number in range(count):
        memory = torch.cuda.get_device_properties(number).total_memory / 2**30
        yield Check(True, f"GPU {number}: {torch.cuda.get_device_name(number)}, {memory:.0f} GiB")
    if not count:
        yield Check(True, f"no GPU: models run on the CPU ({torch.backends.cpu.get_cpu_capability()})")
