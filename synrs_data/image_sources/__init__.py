"""Images to start from: where they lie, how they are read, what they are in RGB."""

from synrs_data.image_sources.decoding import decode_rgb
from synrs_data.image_sources.source import ImageSource, SourceImage

__all__ = ["ImageSource", "SourceImage", "decode_rgb"]
