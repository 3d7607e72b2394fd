"""Protocols: how a classifier is made from labelled training data."""

from synrs_data.evaluate.protocols.base import PROTOCOLS, Samples, TrainingProtocol, make_protocol

__all__ = ["PROTOCOLS", "Samples", "TrainingProtocol", "make_protocol"]
