"""Clusters of our own tool: `pytest -p our_clusters --ciliumwg --ciliumwg-provider=existing`."""

import atexit
import shutil
import subprocess
import tempfile
from pathlib import Path

from pytest_ciliumwg.api import Cluster, ExistingSpec, Progress, ProviderError, Settings, connect_existing


def pytest_ciliumwg_cluster(settings: Settings, progress: Progress) -> Cluster | None:
    """Connect to the cluster whose name in our tool is the context that was asked for."""
    if settings.provider != "existing" or settings.context is None:
        return None
    told = subprocess.run(["our-tool", "kubeconfig", settings.context], capture_output=True, text=True, check=False)
    if told.returncode:
        raise ProviderError(f"our-tool knows no cluster {settings.context}: {told.stderr.strip()}")
    directory = tempfile.mkdtemp(prefix="our-tool-")
    atexit.register(shutil.rmtree, directory)  # upgrades by Helm read the file too
    kubeconfig = Path(directory, "kubeconfig")
    kubeconfig.write_text(told.stdout, encoding="utf-8")
    return connect_existing(ExistingSpec(kubeconfig=kubeconfig), progress)
