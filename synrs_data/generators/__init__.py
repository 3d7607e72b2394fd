"""Generators: from requests to images."""

from synrs_data.generators.base import Generator

__all__ = ["Generator"]
