"""Which activation weights of CLIP were trained with: a wrong one loads without an error.

It then computes something else.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")

OPENAI_KEYS = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Numbers that OpenAI's own state dicts hold beside the weights (openai/CLIP, clip/model.py, `build_model`)."""

_QUICK = re.compile(r"(^|[/._-])openai($|[/._-])|remoteclip-|rs5m_vit-[bl]-|skyclip_vit_l14", re.IGNORECASE)
"""Published weights that are OpenAI's, or were tuned from them: RemoteCLIP (retrieval.py), GeoRSCLIP B and L
(inference/inference.py), SkyCLIP L/14 (README)."""

_PLAIN = re.compile(r"laion2b|laion400m|rs5m_vit-h-|skyclip_vit_b32", re.IGNORECASE)
"""Published weights that are LAION's, or were tuned from them: GeoRSCLIP H/14, SkyCLIP B/32 (same sources)."""


def trained_with(name: str, keys: Collection[str] = ()) -> bool | None:
    """Return whether weights were trained with QuickGELU; None if that is not known.

    Args:
        name: Path of a file, or of a folder or Hub id.
        keys: Of the state dict.
    """
    if OPENAI_KEYS & set(keys):
        return True
    parts = name.replace("\\", "/").rstrip("/").split("/")
    # A checkpoint may have a name of its own in the folder of its model; what is further up may be called anything.
    tail = "/".join(parts[-2 if parts[-1].endswith(ENDINGS) else -1 :])
    if _QUICK.search(tail):
        return True
    return False if _PLAIN.search(tail) else None


def uses_quick_gelu(model: Any) -> bool:
    """Return whether a module of open_clip computes with QuickGELU anywhere."""
    return any(type(module).__name__ == "QuickGELU" for module in model.modules())
