"""Clusters of our own tool: `pytest -p our_clusters --ciliumwg --ciliumwg-provider=our-tool`."""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytest_ciliumwg.api import Cluster, Progress, ProviderError, Settings, connect_existing, existing_spec


def pytest_ciliumwg_providers() -> Mapping[str, str]:
    """What is like `existing` has its options, stages and plan."""
    return {"our-tool": "existing"}


def pytest_ciliumwg_cluster(settings: Settings, progress: Progress) -> Cluster | None:
    """Connect to the cluster whose name in our tool is the context that was asked for."""
    if settings.plugin != "our-tool":
        return None
    name = settings.context or "staging"
    told = subprocess.run(["our-tool", "kubeconfig", name], capture_output=True, text=True, check=False)
    if told.returncode:
        raise ProviderError(f"our-tool knows no cluster {name}: {told.stderr.strip()}")
    directory = tempfile.mkdtemp(prefix="our-tool-")
    atexit.register(shutil.rmtree, directory)  # upgrades by Helm read the file too
    kubeconfig = Path(directory, "kubeconfig")
    kubeconfig.write_text(told.stdout, encoding="utf-8")
    return connect_existing(replace(existing_spec(settings), kubeconfig=kubeconfig, context=None), progress)
