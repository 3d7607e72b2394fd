"""Caption strategies: what each image of a build shall show, in words."""

from synrs_data.captions.base import CaptionStrategy

__all__ = ["CaptionStrategy"]
