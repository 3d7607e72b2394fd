"""Load a ControlNet from its folder, every weight accounted for, and check that it fits its base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synrs_data.errors import WeightsError
from synrs_data.models.diffusers_folder import _load_component, quiet_libraries
from synrs_data.models.families import controlnets
from synrs_data.models.source import ModelFolder, fetch_files

_WIDTHS = ("cross_attention_dim", "block_out_channels", "in_channels")
"""What a ControlNet takes over from the UNet that it was copied from."""

_SAT_KEYS = {"conditioning_in_channels", "use_metadata", "num_metadata"}
"""What the configurations of DiffusionSat's ControlNets have and stock ones have not."""


def load_controlnet(model: ModelFolder, *, dtype: Any) -> Any:
    """Load the ControlNet of a folder.

    Args:
        model: The folder, with `config.json` and weights as safetensors or `.bin`; or one that holds such a folder,
            as DiffusionSat's archives do: `controlnet`, or that of the last `checkpoint-N`.
        dtype: torch dtype of the weights.

    Returns:
        A diffusers `ControlNetModel` on the CPU; a `SatControlNet` or `SatControlNet3D`, which are some too, if
        the configuration is of one of DiffusionSat's.

    Raises:
        WeightsError: The folder is no ControlNet or holds several, weights are missing or truncated, or would be
            dropped.
    """
    quiet_libraries()
    folder = _find(model.path)
    return _load_component(_class_of(_read_config(folder), folder), folder, dtype, None)


def _find(path: Path) -> Path:
    """Return the folder of the ControlNet, `path` itself if there is none: reading it says what is wrong."""
    found = controlnets(path)
    if len(found) > 1:
        names = ", ".join(folder.relative_to(path).as_posix() for folder in found)
        raise WeightsError(
            f"holds {len(found)} ControlNets: {names}",
            where=str(path),
            fix=f"name one of them by `controlnet`, such as {found[0]}",
        )
    return found[0] if found else path


def _class_of(config: dict[str, Any], path: Path) -> Any:
    """Return the class of a configuration.

    DiffusionSat's class has the name of the stock one, which would drop its metadata and misread its images.
    """
    name = config.get("_class_name")
    if name == "ControlNetModel" and not _SAT_KEYS & config.keys():
        from diffusers import ControlNetModel

        return ControlNetModel
    if name in ("ControlNetModel", "ControlNetModel3D"):
        from synrs_data.models.controlnet_sat import SatControlNet, SatControlNet3D

        return SatControlNet3D if name == "ControlNetModel3D" else SatControlNet
    raise WeightsError(
        f"is a {name}, not a ControlNetModel",
        where=str(path),
        fix="name the folder of a ControlNet by `controlnet`, and that of its base by `model`",
    )


def reads_dates(model: ModelFolder) -> bool:
    """Return whether a ControlNet reads images of several dates, without loading it.

    Raises:
        WeightsError: The folder is no ControlNet, or holds several.
    """
    return _read_config(_find(model.path)).get("_class_name") == "ControlNetModel3D"


def check_base(controlnet: Any, unet: Any, path: Path) -> None:
    """Raise if a ControlNet was made for another kind of base than this UNet.

    Raises:
        WeightsError: It names what differs.
    """
    for name in _WIDTHS:
        own, base = _plain(controlnet.config[name]), _plain(unet.config[name])
        if own != base:
            raise WeightsError(
                f"the ControlNet was made for another base: its {name} is {own}, that of `model` {base}",
                where=str(path),
                fix="name the base that its card names (of Stable Diffusion 1.x, 2.x and XL each fits its own)",
            )


def fetch_controlnet(name: str, revision: str | None) -> str:
    """Download a ControlNet: its safetensors, or its `.bin` if there are none."""
    path = fetch_files(["diffusion_pytorch_model*.safetensors"])(name, revision)
    if any(Path(path).glob("*.safetensors")):
        return path
    return fetch_files(["diffusion_pytorch_model*.bin"])(name, revision)


def _read_config(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            "is no ControlNet: it has no config.json, and no folder in it is one",
            where=str(path),
            fix="give the folder that holds config.json and diffusion_pytorch_model.safetensors or .bin",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"cannot be read: {error}", where=str(file), fix="download it again") from error
    if not isinstance(values, dict):
        raise WeightsError("holds no configuration", where=str(file), fix="download it again")
    return values


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
