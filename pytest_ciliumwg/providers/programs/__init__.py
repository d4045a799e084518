"""Other people's programs: found, run to their end, and what went wrong with them in a sentence."""

from __future__ import annotations

from pytest_ciliumwg.providers.programs.find import QUICK_SECONDS, check_version, find
from pytest_ciliumwg.providers.programs.reasons import reason
from pytest_ciliumwg.providers.programs.run import Done, run, run_whole

__all__ = ["QUICK_SECONDS", "Done", "check_version", "find", "reason", "run", "run_whole"]
