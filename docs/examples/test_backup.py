"""Traffic of our own under the watch."""

import os

import pytest

from pytest_ciliumwg.api import OpenWatch, Verify

# In a lab, where every node has a pod that idles, these two; in your cluster, two of your pods on different nodes.
APP = os.environ.get("APP_POD", "default/idle-lab-control-plane")
STORE = os.environ.get("STORE_POD", "default/idle-lab-worker")
STORE_ADDRESS = os.environ.get("STORE_ADDRESS", "10.244.1.11")


@pytest.mark.ciliumwg_check("ours.backup", source="our data protection officer")
def test_backup(ciliumwg_watch: OpenWatch, ciliumwg_verify: Verify) -> None:
    """Nothing of a backup is in cleartext between the nodes."""
    with ciliumwg_watch() as watch:
        watch.run(APP, ["ping", "-c", "100", "-i", "0.01", "-s", "1000", STORE_ADDRESS])
    watch.assert_encrypted(ciliumwg_verify, APP, STORE, at_least=50_000)
