"""Shards: deterministic tar files of samples, their tables, the manifest of a build and its verification."""

from synrs_data.shards.schema import check_record, features
from synrs_data.shards.tar import Span, TarWriter, members, read_sample, sample_bytes

__all__ = ["Span", "TarWriter", "check_record", "features", "members", "read_sample", "sample_bytes"]
