"""Network policies that deny the tests' own traffic: it ends at a pod, and nothing is wrong with encryption."""

from __future__ import annotations

from pytest_ciliumwg.faults.catalogue import Doubt, fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

_TABLE = "denied"
_CONSEQUENCES = (Doubt("wire.*"), Doubt("size.*"), Doubt("handshake.*"), Doubt("paths.*"))


def _deny(lab: Lab, node: LabNode, hook: str, match: str) -> None:
    lab.run_in(
        node,
        f"nft 'add table inet {_TABLE}; "
        f"add chain inet {_TABLE} pods {{ type filter hook {hook} priority -400; }}; "
        f"add rule inet {_TABLE} pods {match} meta l4proto {{ tcp, udp, icmp, icmpv6 }} counter drop'",
    )


@fault(
    "policy-denies-egress",
    description="a default-deny network policy selects the node's pods: what they send is dropped at the pod",
    shows="drops `Policy denied` on the node; nothing arrives anywhere, encrypted or not",
    source="admission policies that put a default-deny into every new namespace",
    catcher="capture.policies",
    also=_CONSEQUENCES,
)
def policy_denies_egress(lab: Lab, node: LabNode) -> None:
    """Drop what comes from pods' devices, before anything looks where it goes."""
    _deny(lab, node, "prerouting", 'iifname "lxc*"')


@fault(
    "policy-denies-ingress",
    description="a network policy lets nothing into the node's pods: what arrives for them is dropped after decryption",
    shows="drops `Policy denied` on the node; requests come out of its tunnel, and no answer goes in",
    source="admission policies that put a default-deny into every new namespace",
    catcher="capture.policies",
    also=_CONSEQUENCES,
)
def policy_denies_ingress(lab: Lab, node: LabNode) -> None:
    """Drop what is on its way to pods' devices."""
    _deny(lab, node, "postrouting", 'oifname "lxc*"')
