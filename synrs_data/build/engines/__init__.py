"""Engines decide only where `run_shard(i)` runs."""
