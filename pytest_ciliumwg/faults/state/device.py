"""Faults of the WireGuard device itself."""

from __future__ import annotations

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.faults.catalogue import Doubt, fault
from pytest_ciliumwg.faults.state.steering import steer_again
from pytest_ciliumwg.faults.tools.consequences import DEVICE, LOST, SESSION
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

AGENT = "pkg/wireguard/agent/agent.go"
OTHER_PORT = 51872
OTHER_MARK = 0x4242


def _asserts_mark(expected: Expectations) -> bool:
    return expected.fwmarks is not None


@fault(
    "device-missing",
    description="the node's device cilium_wg0 is deleted",
    shows="no cilium_wg0; to 1.13 pods' packets follow the main table in cleartext, since 1.14 they are dropped",
    source="seen live: with the userspace fallback the device dies with the agent (42 of 100 pings in cleartext)",
    catcher="device.present",
    also=(*DEVICE, *LOST, "steering.table", "steering.redirect", "wire.nothing-else"),
    leaks=["rule"],
)
def device_missing(lab: Lab, node: LabNode) -> None:
    """Delete it."""
    lab.run_in(node, f"ip link del {lab.device}")


@fault(
    "device-down",
    description="the node's device cilium_wg0 is set down",
    shows="no flag UP; to 1.13 the route of table 201 goes with it and packets leave in cleartext, since 1.14 dropped",
    source="seen live: 75 of 100 packets in cleartext on Cilium 1.13 after `ip link set cilium_wg0 down`, none on 1.14",
    catcher="device.up",
    also=(*LOST, "steering.table", "wire.nothing-else", Doubt("capture.inside")),
    leaks=["rule"],
)
def device_down(lab: Lab, node: LabNode) -> None:
    """Set it down."""
    lab.run_in(node, f"ip link set {lab.device} down")


@fault(
    "device-mtu-high",
    description="the node's device has the native device's MTU",
    shows="MTU 1500 on cilium_wg0; full-size packets are fragmented outside or lost",
    source="cilium/cilium issue 28413: encapsulation without room for it",
    catcher="device.mtu",
)
def device_mtu_high(lab: Lab, node: LabNode) -> None:
    """Set the native MTU."""
    lab.run_in(node, f"ip link set {lab.device} mtu {lab.spec.mtu}")


@fault(
    "device-mtu-low",
    description="the node's device has an MTU below what its pods' routes promise",
    shows="MTU 1300 on cilium_wg0 under routes of 1405 or 1420",
    source="cilium/cilium issues 33303 and 45424: MTU changes that were made in one place and not in the other",
    catcher="device.mtu",
    also=["size.delivered", "size.dont-fragment", "size.no-cleartext"],
)
def device_mtu_low(lab: Lab, node: LabNode) -> None:
    """Set a low MTU."""
    lab.run_in(node, f"ip link set {lab.device} mtu 1300")


@fault(
    "device-arp",
    description="the node's device does ARP",
    shows="cilium_wg0 without the flag NOARP",
    source=f"{AGENT}: the device is POINTOPOINT, NOARP; a network manager may take it for a common one",
    catcher="device.noarp",
)
def device_arp(lab: Lab, node: LabNode) -> None:
    """Switch ARP on."""
    lab.run_in(node, f"ip link set {lab.device} arp on")


@fault(
    "device-address",
    description="the node's device has an address",
    shows="an address on cilium_wg0, which the kernel then chooses as a source that no peer accepts",
    source=f"{AGENT}: the agent sets no address; a DHCP client or network manager may",
    catcher="device.no-address",
)
def device_address(lab: Lab, node: LabNode) -> None:
    """Set one."""
    lab.run_in(node, f"ip addr add 192.0.2.{node.index + 1}/32 dev {lab.device}")


@fault(
    "device-port",
    description="the node's device listens on another port than its peers send to",
    shows="`listen-port` is not 51871; handshakes that others begin are lost",
    source=f"{AGENT}: ListenPort; a second WireGuard that took the port first",
    catcher="device.listen-port",
    also=SESSION,
)
def device_port(lab: Lab, node: LabNode) -> None:
    """Change it."""
    lab.run_in(node, f"wg set {lab.device} listen-port {OTHER_PORT}")


@fault(
    "device-fwmark",
    description="the node's device puts another firewall mark on outer packets",
    shows="`wg show cilium_wg0 fwmark` is not what this version sets",
    source="pkg/datapath/linux/linux_defaults/mark.go: 0x1e00 to 1.17, 0x0e00 since 1.18; left over after an upgrade",
    catcher="device.fwmark",
    needs=_asserts_mark,
)
def device_fwmark(lab: Lab, node: LabNode) -> None:
    """Set another mark."""
    lab.run_in(node, f"wg set {lab.device} fwmark {OTHER_MARK:#x}")


@fault(
    "device-kind",
    description="cilium_wg0 is an ordinary device of that name, and no WireGuard",
    shows="`ip -d link` tells another kind; `wg show` refuses the device",
    source=f"{AGENT}: an old tun device of that name is left by a version with the userspace fallback",
    catcher="device.kind",
    also=(*DEVICE, *LOST, "steering.table", "steering.main-table"),
)
def device_kind(lab: Lab, node: LabNode) -> None:
    """Replace it by one end of a veth pair, with the steering as before."""
    mtu = lab.expected.device_mtus(lab.spec.mtu).high
    script = [
        f"ip link del {lab.device}",
        f"ip link add {lab.device} mtu {mtu} type veth peer name wg_peer",
        f"ip link set {lab.device} arp off up",
        "ip link set wg_peer up",
        steer_again(lab, node),
    ]
    lab.run_in(node, "\n".join(script))


@fault(
    "rp-filter",
    description="strict reverse path filtering is on for the node's device",
    shows="net.ipv4.conf.cilium_wg0.rp_filter is 1; decrypted IPv4 packets are dropped, IPv6 works",
    source=f"{AGENT}: rp_filter=0 when IPv4 is enabled; sysctl.d files of a distribution set it back",
    catcher="device.rp-filter",
    also=LOST,
)
def rp_filter(lab: Lab, node: LabNode) -> None:
    """Switch it on."""
    lab.run_in(node, f"echo 1 >/proc/sys/net/ipv4/conf/{lab.device}/rp_filter")
