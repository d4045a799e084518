"""What can be changed in a lab while it stands."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.operations.operations import LabOperations

__all__ = ["LabOperations"]
