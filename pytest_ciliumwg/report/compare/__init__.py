"""Two runs compared: what regressed, what was fixed, what appeared and disappeared."""

from __future__ import annotations

from pytest_ciliumwg.report.compare.differences import Comparison, compare
from pytest_ciliumwg.report.compare.stored import read_report
from pytest_ciliumwg.report.compare.words import as_json, as_markdown

__all__ = ["Comparison", "as_json", "as_markdown", "compare", "read_report"]
