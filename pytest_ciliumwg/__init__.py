"""A pytest conformance suite for Cilium's WireGuard encryption between nodes."""

__version__ = "0.1.0"
