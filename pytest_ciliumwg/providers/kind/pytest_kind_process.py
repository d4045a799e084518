"""A program of its own that makes a cluster with pytest-kind; run by path, it imports nothing of ours.

A process for it, because `KindCluster.create` has no time limit, writes into the current folder and prints where it
likes. All of that stays here; the folder is a temporary one. kind's own words come out on standard error.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(name: str, kind: str, kubectl: str, kubeconfig: str, config: str) -> int:
    """Make the cluster; the programs are explicit, so that nothing is ever downloaded."""
    from pytest_kind import KindCluster

    cluster = KindCluster(name, kubeconfig=Path(kubeconfig), kind_path=Path(kind), kubectl_path=Path(kubectl))
    try:
        cluster.create(config_file=config)
    except subprocess.CalledProcessError as error:
        return error.returncode or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
