"""What the tools in the containers of Cilium's agents print: every node is well, and has all others for peers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench.packetless.network import CONFIG, DEVICE, MTU, Network, PlacedNode
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.observe.sections import section_text
from pytest_ciliumwg.observe.wireguard import DEVICE as TUNNEL

_RECORDED = Path(__file__).parents[2] / "tests/recordings/v1.20.0-dev/dual/rig-worker/agent/debuginfo.json"
"""Of a real agent: what it tells beside WireGuard is as large."""
_RENEWED = 120
"""Seconds between two handshakes (REKEY_AFTER_TIME)."""
_SHOWN = re.compile(r"^show (\S+) (.*)$", re.MULTILINE)
EXPECTED = expectations_for(CONFIG)
Row = dict[str, Any]
Carried = Callable[[PlacedNode, PlacedNode], int]
"""The bytes that went from one node to another in the tunnel so far."""


class Tools:
    """The tools of all agents' containers."""

    def __init__(self, network: Network, carried: Carried) -> None:
        self._network = network
        self._carried = carried
        told: Row = json.loads(_RECORDED.read_text(encoding="utf-8"))
        del told["encryption"]
        told["cilium-version"] = f"{CONFIG.version} 0123456789"
        settings = told["environment-variables"]
        told["environment-variables"] = [one for one in settings if not one.startswith(("mtu:", "cluster-id:"))]
        self._debuginfo = json.dumps(told)
        self._peers = cache(self._peer_of)
        self._routes_to_nodes = [[_route_to(node, at) for node in network.nodes] for at in (False, True)]

    def run(self, node: PlacedNode, script: str) -> str:
        """What a script prints that this package runs in the agent's container of a node."""
        shown = _SHOWN.findall(script)
        if shown:
            return "\n".join(section_text(name, *self._answer(node, name, command)) for name, command in shown)
        if "version -o json" in script:
            one = {"Version": CONFIG.version, "Revision": "0123456789", "Arch": "linux/amd64"}
            return json.dumps({"Client": one, "Daemon": one})
        if "bpf metrics list" in script:
            return json.dumps([{"reason": "Policy denied", "direction": "egress", "packets": 0, "bytes": 0}])
        if "debuginfo" in script:
            return self._told(node)
        raise ValueError(f"nothing is known of {script!r}")

    def _answer(self, node: PlacedNode, name: str, command: str) -> tuple[str, str]:
        """(output, complaint) of one line of the script that looks at a node."""
        if name.startswith("routes"):
            _, version, table = name.split("-")
            return self._routes(node, version, table)
        answers: Mapping[str, Callable[[], str]] = {
            "clock": lambda: str(time.time()),
            "links": lambda: _links(node),
            "rp_filter": lambda: "0\n",
            "bpftool": _programs,
            "debuginfo": lambda: self._told(node),
            "fwmark": lambda: f"{min(EXPECTED.fwmarks or {0}):#x}",
        }
        if name.startswith("rules"):
            return json.dumps([{"priority": 0, "src": "all", "table": "local"}, _MAIN_RULE]), ""
        return (answers[name](), "") if name in answers else ("", f"{command}: not found")

    def _told(self, node: PlacedNode) -> str:
        peers = [self._peer(node, other) for other in self._network.nodes if other is not node]
        device = {
            "name": TUNNEL,
            "public-key": node.published.public_key,
            "listen-port": EXPECTED.listen_port,
            "peer-count": len(peers),
        }
        said = json.dumps(device)[:-1] + f', "peers": [{", ".join(peers)}]}}'
        encryption = f'{{"wireguard": {{"interfaces": [{said}], "node-encryption": "Disabled"}}}}'
        return f'{self._debuginfo[:-1]}, "encryption": {encryption}}}'

    def _peer(self, node: PlacedNode, other: PlacedNode) -> str:
        received, sent = self._carried(other, node), self._carried(node, other)
        said = self._peers(other.index, len(other.test_pods))
        counts = f'"transfer-rx": {1000 + received}, "transfer-tx": {1000 + sent}'
        return f'{said}, "last-handshake-time": "{_handshake()}", {counts}}}'

    def _peer_of(self, index: int, test_pods: int) -> str:
        """What all nodes tell of a peer, without the end."""
        del test_pods  # the pods of a node change, and its allowed IPs with them
        other = self._network.nodes[index]
        told = {
            "public-key": other.published.public_key,
            "endpoint": f"{other.published.addresses[0]}:{EXPECTED.listen_port}",
            "allowed-ips": other.allowed_ips(),
        }
        return json.dumps(told)[:-1]

    def _routes(self, node: PlacedNode, version: str, table: str) -> tuple[str, str]:
        if table == "201":
            return "[\n", f"Error: ipv{version}: FIB table does not exist.\nDump terminated"
        at = version == "6"
        own = list(_own_routes(node, at))
        if table == "all":
            local = {"type": "local", "table": "local", "protocol": "kernel", "flags": []}
            own.append({**local, "dst": str(node.published.addresses[at]), "dev": DEVICE})
        others = [route for index, route in enumerate(self._routes_to_nodes[at]) if index != node.index]
        return f"[{', '.join([*others, *map(json.dumps, own)])}]", ""


def _route_to(node: PlacedNode, at: bool) -> str:
    cidr, address = node.published.pod_cidrs[at], node.published.addresses[at]
    return json.dumps({"dst": str(cidr), "gateway": str(address), "dev": DEVICE, "flags": []})


def _handshake() -> str:
    """When sessions were renewed last, which they are every two minutes."""
    return _as_time(int(time.time()) // _RENEWED * _RENEWED)


@cache
def _as_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


_MAIN_RULE = {"priority": 32766, "src": "all", "table": "main"}


def _own_routes(node: PlacedNode, at: bool) -> Iterator[Row]:
    yield {"type": "blackhole", "dst": str(node.published.pod_cidrs[at]), "flags": []}
    yield {"dst": "172.18.0.0/16" if not at else "fd00:18::/64", "dev": DEVICE, "protocol": "kernel", "flags": []}
    for slot, pod in enumerate((*node.pods, *node.test_pods.values())):
        yield {"dst": str(pod.addresses[at]), "dev": f"lxc{slot}", "flags": []}


def _links(node: PlacedNode) -> str:
    def mac(number: int) -> str:
        return f"02:00:{node.index >> 8:02x}:{node.index & 255:02x}:00:{number:02x}"

    link = partial(_link, mac=mac)
    devices = [
        link(1, "lo", ("127.0.0.1/8", "::1/128"), mtu=65536, flags=("LOOPBACK",)),
        link(2, DEVICE, tuple(f"{ip}/{'16' if ip.version == 4 else '64'}" for ip in node.published.addresses)),
        link(3, "cilium_net", (), kind="veth"),
        link(
            4, "cilium_host", tuple(f"{ip}/{ip.max_prefixlen}" for ip in node.published.cilium_addresses), kind="veth"
        ),
        link(
            5,
            TUNNEL,
            (),
            kind=next(iter(EXPECTED.device_kinds)),
            mtu=EXPECTED.device_mtus(MTU).high,
            flags=("POINTOPOINT", "NOARP"),
        ),
    ]
    pods = (*node.pods, *node.test_pods.values())
    devices += [link(6 + slot, f"lxc{slot}", (), kind="veth") for slot, _ in enumerate(pods)]
    return json.dumps(devices)


def _link(
    index: int,
    name: str,
    addresses: tuple[str, ...],
    *,
    mac: Callable[[int], str],
    kind: str = "",
    mtu: int = MTU,
    flags: tuple[str, ...] = ("BROADCAST", "MULTICAST"),
) -> Row:
    shown: Row = {
        "ifindex": index,
        "ifname": name,
        "flags": [*flags, "UP", "LOWER_UP"],
        "mtu": mtu,
        "qdisc": "noqueue",
        "operstate": "UP",
        "group": "default",
        "txqlen": 1000,
        "link_type": "none" if name == TUNNEL else "loopback" if name == "lo" else "ether",
        "promiscuity": 0,
        "num_tx_queues": 2,
        "num_rx_queues": 2,
        "gso_max_size": 65536,
        "gso_max_segs": 65535,
        "addr_info": [_address(address) for address in addresses],
    }
    if name != TUNNEL:
        shown["address"] = "00:00:00:00:00:00" if name == "lo" else mac(index)
    if kind:
        shown["linkinfo"] = {"info_kind": kind}
    return shown


def _address(address: str) -> Row:
    local, _, prefix = address.partition("/")
    family, scope = ("inet6" if ":" in local else "inet"), "host" if local in ("127.0.0.1", "::1") else "global"
    return {"family": family, "local": local, "prefixlen": int(prefix), "scope": scope}


def _programs() -> str:
    program = {"devname": DEVICE, "ifindex": 2, "kind": "tcx/egress", "name": "cil_to_netdev", "prog_id": 7}
    return json.dumps([{"xdp": [], "tc": [program], "flow_dissector": []}])
