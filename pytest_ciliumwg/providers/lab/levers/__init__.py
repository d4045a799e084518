"""What can be changed in a lab while it stands."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.levers.pull import LabLevers

__all__ = ["LabLevers"]
