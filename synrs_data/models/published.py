"""Published models: the shipped table of where each is had and what runs it, and whether it lies on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synrs_data.models.source import has_weights
from synrs_data.resources import shipped
from synrs_data.vocabulary import load_yaml

FOLDER = "models"
"""Folder below the working folder in which `locate` looks for ORG/REPO."""

_ORG_REPO = r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$"


class PublishedModel(BaseModel):
    """One model as its authors publish it.

    Attributes:
        name: What people call it.
        hub: Id on the Hugging Face Hub.
        zenodo: Number of the record on Zenodo.
        pixels: Side of the images that it was trained on; None where that is unknown.
        size: What its authors say of its size.
        licence: Licence of the weights, and of code and base where they differ.
        get: How to get it, in words or as a command.
        folder: ORG/REPO below `models/`.
        recipes: Shipped recipes that run it.
        generators: Methods that run it in other recipes; without recipes and generators it is not supported.
        note: What else decides whether it runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    hub: str | None = Field(None, pattern=_ORG_REPO)
    zenodo: int | None = None
    pixels: int | None = None
    size: str = "unknown"
    licence: str = Field(min_length=1)
    get: str = ""
    folder: str = Field("", pattern=rf"^$|{_ORG_REPO}")
    recipes: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _derived(cls, values: Any) -> Any:
        """Fill in the folder and the way to get it, where id or record say them."""
        if not isinstance(values, dict):
            return values
        hub, zenodo = values.get("hub"), values.get("zenodo")
        folder = values.get("folder") or hub or ""
        ways = [f"hf download {hub} --local-dir {FOLDER}/{folder}"] if hub else []
        if zenodo:
            ways.append(f"unpack the archive of https://zenodo.org/records/{zenodo} as {FOLDER}/{folder}")
        return values | {"folder": folder, "get": values.get("get") or ", or ".join(ways)}

    @model_validator(mode="after")
    def _whole(self) -> PublishedModel:
        if not self.folder or not self.get:
            raise ValueError(f"'{self.name}' has no id or record, so it needs `folder` and `get`")
        return self

    @property
    def path(self) -> str:
        """Folder below the working folder in which it is looked for."""
        return f"{FOLDER}/{self.folder}"

    @property
    def supported(self) -> bool:
        """Whether a recipe or a generator runs it."""
        return bool(self.recipes or self.generators)

    def is_here(self, root: Path) -> bool:
        """Say whether its folder below `root` holds weights; their contents are not read."""
        return has_weights(root / self.path)

    def as_dict(self, root: Path) -> dict[str, Any]:
        """Return all that is known of it, for JSON."""
        own = self.model_dump(mode="json", exclude={"folder"})
        return own | {"path": self.path, "supported": self.supported, "here": self.is_here(root)}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[PublishedModel, ...]


def published_models() -> tuple[PublishedModel, ...]:
    """Return the shipped table, in its order."""
    return load_yaml(shipped("builders", "vocab", "models.yaml"), _Table).models
