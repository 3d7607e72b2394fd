"""Builds: plan, generate, select, pack, finalise."""
