"""Engines decide only where `run_shard(i)` runs; files are the only state."""

from synrs_data.build.engines.base import Engine, Job
from synrs_data.build.engines.inline import InlineEngine
from synrs_data.build.engines.local import LocalEngine

ENGINES: dict[str, type[Engine]] = {"inline": InlineEngine, "local": LocalEngine}

__all__ = ["ENGINES", "Engine", "InlineEngine", "Job", "LocalEngine"]
