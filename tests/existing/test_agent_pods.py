"""Which images agents run: by digest where the kubelet tells one."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.providers.existing.agent_pods import agents_of, images
from tests.apidouble import shapes

DIGEST = f"registry.example/cilium/cilium@sha256:{'a' * 64}"
TAG = "registry.example/cilium/cilium:v1.18.4"


@pytest.mark.parametrize(
    ("image_id", "told"),
    [
        (DIGEST, DIGEST),
        (f"docker-pullable://{DIGEST}", DIGEST),
        (f"sha256:{'a' * 64}", TAG),  # loaded from an archive: no registry knows it
        ("", TAG),
    ],
)
def test_images_by_digest(image_id: str, told: str) -> None:
    pods = [shapes.agent_pod(node, "172.18.0.2", image=TAG) for node in ("one", "two")]
    for pod in pods:
        pod["status"]["containerStatuses"][0]["imageID"] = image_id
    found = agents_of(pods, shapes.AGENT)
    assert images(agent.pod for agent in found.values()) == [f"Cilium's image on 2 nodes: {told}"]
