"""Find programs, run them to their end, and tell in a sentence why one failed."""

from __future__ import annotations

from pytest_ciliumwg.providers.programs.find import QUICK_SECONDS, check_version, find
from pytest_ciliumwg.providers.programs.reasons import reason
from pytest_ciliumwg.providers.programs.run import Done, run, run_whole, running
from pytest_ciliumwg.providers.programs.scratch import scratch_folder

__all__ = ["QUICK_SECONDS", "Done", "check_version", "find", "reason", "run", "run_whole", "running", "scratch_folder"]
