"""A small Kubernetes API server that speaks the real protocol, over a lab or over recordings."""

from __future__ import annotations

from tests.apidouble.double import ApiDouble
from tests.apidouble.lab_backend import LabBackend
from tests.apidouble.mishaps import Mishap
from tests.apidouble.recorded import RecordedBackend
from tests.apidouble.trouble import Trouble, cut_body, hang, html, lose_answer, refuse, reset

__all__ = [
    "ApiDouble",
    "LabBackend",
    "Mishap",
    "RecordedBackend",
    "Trouble",
    "cut_body",
    "hang",
    "html",
    "lose_answer",
    "refuse",
    "reset",
]
