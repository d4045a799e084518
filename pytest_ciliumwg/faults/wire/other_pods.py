"""Faults that let packets of other pods than the test pods out in cleartext; nothing of the suite's own is in them."""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.faults.tools import vxlan
from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.faults.wire.bypass import bypass, pod_ends
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

DNS = 53

_LOOKUPS = """
import socket, sys, time
ready, port, targets = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
wires = [(socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM), to) for to in targets]
open(ready, "w").close()
while True:
    for wire, to in wires:
        try:
            wire.sendto(bytes.fromhex("123401000001000000000000037777770000010001"), (to, port))
        except OSError:
            pass
    time.sleep(0.1)
"""


def _leak_of_family(lab: Lab, node: LabNode, *, family: IPFamily) -> None:
    peer = lab.next_to(node)
    bypass(lab, node, ends=pod_ends(lab, node.idle_pod.pod, peer.idle_pod.pod, family))
    start_foreign_traffic(lab, node, peer)


for _family in IPFamily:
    fault(
        f"leak-other-pods-{_family.value}",
        description=f"IP{_family.value} from another pod of the node to one of the next node's leaves in cleartext",
        shows="all test traffic encrypted; packets of other pods in cleartext on the very device that is watched",
        source="CVE-2025-32793: pods that come and go leak, not those that stay; so test pods alone do not show it",
        catcher="wire.other-pods",
        names="pair",
        families=[_family],
    )(partial(_leak_of_family, family=_family))


@fault(
    "leak-dns",
    description="DNS lookups of the node's test pod to a pod of the next node leave in cleartext",
    shows="all test traffic encrypted; UDP port 53 from the test pod's own address in cleartext",
    source="cilium/cilium issue 35481: lookups through the DNS proxy had the host's identity, and were not encrypted",
    catcher="wire.other-pods",
    names="pair",
)
def leak_dns(lab: Lab, node: LabNode) -> None:
    """Let the test pod look up names at the next node's idle pod, past the steering."""
    server = lab.next_to(node).idle_pod.pod
    bypass(lab, node, ends=pod_ends(lab, node.test_pod.pod, server))
    start(lab, node, "lookups", _LOOKUPS, DNS, *server.addresses, netns=node.test_pod.netns)


@fault(
    "leak-other-pods-vxlan",
    description="packets of another pod of the node to one of the next node's leave in cleartext inside VXLAN",
    shows="all test traffic encrypted; UDP 8472 between the nodes that holds packets of other pods in cleartext",
    source="CVE-2024-28250 in tunnel mode: the redirect before or after the wrong encapsulation",
    catcher="wire.other-pods",
    also=["steering.other-ways"],
    names="pair",
)
def leak_other_pods_vxlan(lab: Lab, node: LabNode) -> None:
    """Route the pair of pods into a VXLAN device of the two nodes."""
    peer = lab.next_to(node)
    ends = pod_ends(lab, node.idle_pod.pod, peer.idle_pod.pod)
    if lab.expected.steering == "rule":
        bypass(lab, node, ends=ends)
    vxlan.join(lab, node, peer)
    for _, destination in ends:
        lab.run_in(
            node,
            f"ip neigh add {destination} lladdr {vxlan.mac(peer)} dev {vxlan.DEVICE} nud permanent\n"
            f"ip route add {destination} dev {vxlan.DEVICE}",
        )
    start_foreign_traffic(lab, node, peer)
