"""The configuration that was declared is the configuration that runs."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import known_version, same_version
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.providers.base import Cluster


@pytest.mark.ciliumwg_check(
    "config.encryption", source="documentation, Helm values encryption.enabled and encryption.type"
)
def test_encryption_is_enabled(cluster: Cluster, verify: Verify) -> None:
    """Cilium is configured to encrypt with WireGuard."""
    actual = cluster.actual_config()
    verify(
        actual.encryption,
        where=Place.everywhere("Cilium's configuration"),
        expected="WireGuard encryption enabled",
        seen="enabled" if actual.encryption else "disabled",
        meaning="Cilium does not even try to encrypt; set encryption.enabled=true and encryption.type=wireguard.",
    )


@pytest.mark.ciliumwg_check(
    "config.version", source="design: the expectation is declared, never adapted to what is found"
)
def test_declared_version_runs(cluster: Cluster, verify: Verify) -> None:
    """The version of Cilium that was declared is the one that runs."""
    declared, actual = cluster.declared.version, cluster.actual_config().version
    try:
        known_version(actual)
    except ValueError as error:
        # For such a one another version has to be declared.
        verify.unsupported(Place.everywhere("Cilium's agents"), str(error))
        return
    verify(
        same_version(actual, declared),
        where=Place.everywhere("Cilium's agents"),
        expected=f"version {declared}",
        seen=actual,
        meaning="Every expectation of this run is for another version; correct the one or the other.",
    )


OPTIONS = {
    "routing_mode": "routing mode",
    "node_encryption": "node encryption",
    "strict_mode": "strict mode",
    "userspace_fallback": "userspace fallback",
    "kube_proxy_replacement": "kube-proxy replacement",
}


@pytest.mark.ciliumwg_check(
    "config.declared", source="design: the expectation is declared, never adapted to what is found"
)
@pytest.mark.parametrize("option", list(OPTIONS))
def test_declared_option_is_the_actual_one(cluster: Cluster, verify: Verify, option: str) -> None:
    """An option that changes what must hold has the value that was declared."""
    declared, actual = getattr(cluster.declared, option), getattr(cluster.actual_config(), option)
    verify(
        declared == actual,
        where=Place.everywhere("Cilium's configuration"),
        expected=f"{OPTIONS[option]} {declared}",
        seen=actual,
        meaning="Every expectation of this run is for another configuration; correct the one or the other.",
    )
