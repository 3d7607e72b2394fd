"""Generators: from requests to images."""

from synrs_data.generators.base import ConditionedGenerator, Generator

__all__ = ["ConditionedGenerator", "Generator"]
