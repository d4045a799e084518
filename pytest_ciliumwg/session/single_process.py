"""pytest-xdist: one cluster and one watch serve all checks, so a run of the suite stays in one process.

Each worker of xdist is a pytest of its own, with its own session fixtures. Spread over workers the suite would make
several clusters, and their watches would see each other's traffic. `--dist=loadgroup`, which could keep the checks
together, does not group at all with pytest-xdist 3.8 and pytest 9.2. Nothing is lost: what takes time is done for all
checks at once, and concurrently.
"""

from __future__ import annotations

import pytest

NOTE = "ciliumwg: one cluster and one watch serve all checks, so all of this run is in one process; -n is not used"
_SPREADING = ("no", "load", "loadscope", "loadfile", "loadgroup", "worksteal")


class _Said:
    """Adds a note for the user to pytest's header."""

    def pytest_report_header(self) -> str:
        """The note."""
        return NOTE


def keep_to_one_process(config: pytest.Config) -> None:
    """Let xdist run nothing in workers, and say so; it has not read its options yet.

    Raises:
        pytest.UsageError: the run is meant for several environments, of which each would need a cluster.
    """
    option = config.option
    mode, environments = getattr(option, "dist", "no"), getattr(option, "tx", [])
    if mode not in _SPREADING or (environments and not getattr(option, "numprocesses", None)):
        how = f"--dist={mode}" if mode not in _SPREADING else "--tx"
        raise pytest.UsageError(
            f"{how} runs the checks in several environments, but they share one cluster and one watch: "
            "leave it out, or start one run for each environment"
        )
    if mode == "no":
        return
    option.numprocesses, option.dist, option.tx = 0, "no", []
    config.pluginmanager.register(_Said(), "ciliumwg-one-process")
