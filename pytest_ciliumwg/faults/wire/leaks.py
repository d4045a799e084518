"""Faults that let packets of one pod pair out in cleartext: from the node's test pod to the next node's test pod."""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.tools import vxlan
from pytest_ciliumwg.faults.tools.consequences import BYPASSED, CLEAR
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.faults.wire.bypass import bypass, pod_pair
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, LabNode
from pytest_ciliumwg.providers.lab.steering import nft_family

DISCOVERY = 'documentation, "Egress traffic to not yet discovered remote endpoints": Cilium fails open'
OTHER_PROTOCOL = 132


@fault(
    "leak-pair",
    description="everything from the node's test pod to the next node's leaves in cleartext",
    shows="one direction of one pod pair in cleartext, all other pairs encrypted, no ping lost",
    source="cilium/cilium issue 46687: one pair differs, so that a test of one random pair does not find it",
    catcher="wire.no-cleartext",
    also=BYPASSED,
    leaks=BOTH,
    names="pair",
)
def leak_pair(lab: Lab, node: LabNode) -> None:
    """Bypass the steering for the pair."""
    bypass(lab, node)


def _bypass_family(lab: Lab, node: LabNode, *, family: IPFamily) -> None:
    bypass(lab, node, families=[family])


def _bypass_condition(lab: Lab, node: LabNode, *, condition: str) -> None:
    bypass(lab, node, condition)


for _family, _other in ((IPFamily.V4, IPFamily.V6), (IPFamily.V6, IPFamily.V4)):
    fault(
        f"leak-pair-{_family.value}",
        description=f"IP{_family.value} from the node's test pod to the next node's leaves in cleartext",
        shows=f"IP{_family.value} of one pair and direction in cleartext, IP{_other.value} of the same pair encrypted",
        source="recordings of Cilium 1.13 with one family's rule deleted; cilium-cli tests IPv6 only where enabled",
        catcher=f"wire.no-cleartext[{_family.value}-udp]",
        also=CLEAR,
        leaks=BOTH,
        names="pair",
        families=[_family],
    )(partial(_bypass_family, family=_family))

for _name, _condition, _catcher, _families, _description, _source in (
    ("reply", "ct direction reply", "wire.no-cleartext", (),
     "replies from the node's test pod to the next node's leave in cleartext, requests do not",
     "cilium/cilium issue 46864 and CVE-2024-25630 (GHSA-7496-fgv9-xw82): replies alone in cleartext; no ping is lost"),
    ("udp-pair", "meta l4proto udp", "wire.no-cleartext[v4-udp]", [IPFamily.V4],
     "UDP from the node's test pod to the next node's leaves in cleartext, all else is encrypted",
     "cilium/cilium issue 46864 (replies over UDP in cleartext) and CVE-2024-28250 (only what a proxy sends)"),
    ("tcp-pair", "meta l4proto tcp", "wire.no-cleartext[v6-tcp]", IPFamily,
     "TCP from the node's test pod to the next node's leaves in cleartext, all else is encrypted",
     "CVE-2024-28250 (GHSA-v6q2-4qr3-5cw6): what the L7 proxy sends; a ping shows nothing"),
    ("icmp-pair", "meta l4proto { icmp, icmpv6 }", "wire.no-cleartext[v4-icmp]", [IPFamily.V4],
     "ICMP from the node's test pod to the next node's leaves in cleartext, all else is encrypted",
     "cilium/cilium issue 38688: ICMPv6 treated apart; cilium-cli's pod test sends TCP alone"),
    ("tcp-end", "meta l4proto tcp tcp flags & (fin | rst) != 0 meta length < 100", "wire.no-cleartext[v4-tcp]",
     [IPFamily.V4],
     "the FIN and RST segments from the node's test pod to the next node's leave in cleartext: headers, no payload",
     "cilium/cilium issue 35485: RST seen in cleartext by Cilium's own CI"),
    ("large", "meta length > 1300", "size.no-cleartext[v4-udp]", [IPFamily.V4],
     "packets above 1300 bytes from the node's test pod to the next node's leave in cleartext",
     "a size check that falls through, as with issue 28413's missing room for the tunnel's headers"),
    ("small", "meta length < 60", "size.no-cleartext[v4-udp]", [IPFamily.V4],
     "packets below 60 bytes from the node's test pod to the next node's leave in cleartext: no canary fits into them",
     "a header parser that gives up on short packets and passes them"),
    ("first-packet", "numgen inc mod 100000 == 0", "wire.first-packet", (),
     "the very first packet from the node's test pod to the next node's leaves in cleartext, no other",
     DISCOVERY),
):  # fmt: skip
    fault(
        f"leak-{_name}",
        description=_description,
        shows="these packets of one pod pair in cleartext on the wire, and nothing lost",
        source=_source,
        catcher=_catcher,
        also=(*CLEAR, "wire.counters"),
        leaks=BOTH,
        names="pair",
        families=_families,
    )(partial(_bypass_condition, condition=_condition))


@fault(
    "leak-rare",
    description="one UDP datagram in a thousand from the node's test pod leaves in cleartext",
    shows="a single frame in cleartext now and then, and nothing lost",
    source="CVE-2025-32793's race: few packets among many, so that a test of one request does not find it",
    catcher="wire.sustained",
    also=CLEAR,
    leaks=BOTH,
)
def leak_rare(lab: Lab, node: LabNode) -> None:
    """Count those of a common size, and bypass the steering for the 700th of each thousand."""
    bypass(lab, node, "meta l4proto udp meta length 200-400 numgen inc mod 1000 == 700", anywhere=True)


@fault(
    "leak-fragment",
    description="the later fragments of what the node's test pod sends to the next node's leave in cleartext",
    shows="first fragments encrypted, second ones in cleartext: no ports in them, so filters by port see nothing",
    source="a datapath that decides by ports, which only a first fragment has",
    catcher="size.no-cleartext",
    also=["size.delivered", "wire.nothing-else"],  # of a short tail nobody can tell to which flow it belongs
    leaks=BOTH,
    names="pair",
    needs=lambda expected: (
        IPFamily.V4 in expected.config.families or not expected.drops_fragments(IPFamily.V6, Protocol.UDP, 1400)
    ),
)
def leak_fragment(lab: Lab, node: LabNode) -> None:
    """Bypass the steering for IPv4 fragments with an offset; IPv6 has the same in an extension header."""
    name = "ip frag-off & 0x1fff != 0" if IPFamily.V4 in lab.families else "frag frag-off != 0"
    bypass(lab, node, name, families=[lab.families[0]])


@fault(
    "leak-snat",
    description="packets from the node's test pod to the next node's leave in cleartext, with the node's address",
    shows="cleartext whose source is the node's address: a capture that filters by pod addresses sees nothing",
    source="CVE-2024-28250 (GHSA-v6q2-4qr3-5cw6): what the proxy sends has the host's identity; masquerading first",
    catcher="wire.no-cleartext",
    also=BYPASSED,
    leaks=BOTH,
    names="pair",
)
def leak_snat(lab: Lab, node: LabNode) -> None:
    """Masquerade the pair's packets; the redirect does not match the new source, the rule needs a bypass."""
    if lab.expected.steering == "rule":
        bypass(lab, node)
    rules = []
    for family in lab.families:
        source, destination = pod_pair(lab, node, family)
        name = nft_family(family)
        own = node.device_address(DEVICES[0], family)
        rules.append(f"{name} saddr {source} {name} daddr {destination} snat {name} to {own}")
    ruleset = "\n".join(
        [
            "table inet leak_snat {",
            "chain postrouting {",
            "type nat hook postrouting priority srcnat;",
            *rules,
            "}",
            "}",
        ]
    )
    lab.run_in(node, f"nft -f - <<'END'\n{ruleset}\nEND")


@fault(
    "leak-eth1",
    description="packets from the node's test pod to the next node's leave in cleartext through eth1 alone",
    shows="nothing in cleartext on the first native device, cleartext on the second",
    source="a native device that Cilium does not manage (`devices`) is not covered by the redirect",
    catcher="wire.no-cleartext",
    also=(*BYPASSED, "steering.redirect"),
    leaks=BOTH,
    devices=DEVICES,
)
def leak_eth1(lab: Lab, node: LabNode) -> None:
    """Route the pair over the second device, where nothing redirects."""
    second = DEVICES[1]
    if lab.expected.steering == "rule":
        bypass(lab, node)
    else:
        lab.run_in(node, f"tc qdisc del dev {second} clsact")
    for family in lab.families:
        _, destination = pod_pair(lab, node, family)
        gateway = lab.next_to(node).device_address(second, family)
        lab.run_in(node, f"ip route add {destination} via {gateway} dev {second}")


@fault(
    "leak-vxlan",
    description="packets from the node's test pod to the next node's leave in cleartext inside VXLAN",
    shows="UDP 8472 between the nodes that holds cleartext: a capture that filters by outer addresses sees nothing",
    source="CVE-2024-28250 in tunnel mode: the redirect before or after the wrong encapsulation",
    catcher="wire.no-cleartext",
    also=BYPASSED,
    leaks=BOTH,
    names="pair",
)
def leak_vxlan(lab: Lab, node: LabNode) -> None:
    """Route the pair into a VXLAN device of the two nodes."""
    if lab.expected.steering == "rule":
        bypass(lab, node)
    peer = lab.next_to(node)
    vxlan.join(lab, node, peer)
    for family in lab.families:
        _, destination = pod_pair(lab, node, family)
        lab.run_in(
            node,
            f"ip neigh add {destination} lladdr {vxlan.mac(peer)} dev {vxlan.DEVICE} nud permanent\n"
            f"ip route add {destination} dev {vxlan.DEVICE}",
        )


# Packets of a protocol that no flow of the suite uses, from the test pod to the next node's, for as long as the lab is.
_CHATTER = """
import socket, sys, time
ready, protocol, pairs = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
wires = []
for pair in pairs:
    source, destination = pair.split(",")
    wire = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_RAW, protocol)
    wire.bind((source, 0))
    wires.append((wire, destination))
open(ready, "w").close()
while True:
    for wire, destination in wires:
        try:
            wire.sendto(bytes(32), (destination, 0))
        except OSError:
            pass
    time.sleep(0.05)
"""


@fault(
    "leak-other-protocol",
    description="a protocol that no flow of the suite uses (SCTP's number) leaves in cleartext from pod to pod",
    shows="TCP, UDP and ICMP encrypted everywhere; packets with protocol 132 between two pods in cleartext",
    source="a datapath that knows three protocols; cilium-cli tests TCP and ICMP alone",
    catcher="wire.nothing-else",
    leaks=BOTH,
)
def leak_other_protocol(lab: Lab, node: LabNode) -> None:
    """Let the test pod talk that protocol, and bypass the steering for it."""
    bypass(lab, node, f"meta l4proto {OTHER_PROTOCOL}")
    pairs = [",".join(map(str, pod_pair(lab, node, family))) for family in lab.families]
    start(lab, node, "chatter", _CHATTER, OTHER_PROTOCOL, *pairs, netns=node.test_pod.netns)
