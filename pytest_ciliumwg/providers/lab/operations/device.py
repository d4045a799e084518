"""cilium_wg0 set down and up, and WireGuard's port blocked."""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.steering import route_script

NFT_BLOCKED = "blocked"
"""The nftables table that drops WireGuard's packets."""


def device_down(lab: Lab, name: str) -> None:
    """Set the device down; the route of table 201 goes with it, where there is one."""
    node = lab.node(name)
    lab.undo_log.add(_device(name), partial(device_up, lab, name))
    lab.run_in(node, f"ip link set {lab.device} down")


def device_up(lab: Lab, name: str) -> None:
    """Set it up, with that route."""
    node = lab.node(name)
    routes = route_script(lab.spec, lab.running[name])
    lab.run_in(node, f"ip link set {lab.device} up\n{routes}")
    lab.undo_log.done(_device(name))


def block_port(lab: Lab, name: str) -> None:
    """Drop WireGuard's packets in and out."""
    node = lab.node(name)
    lab.undo_log.add(_port(name), partial(unblock_port, lab, name))
    rule = f"udp dport {lab.expected.listen_port} drop;"
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority filter; {rule} }}\n" for hook in ("input", "output")
    )
    lab.run_in(node, f"nft -f - <<'END'\n{_NO_TABLE}\ntable inet {NFT_BLOCKED} {{\n{chains}}}\nEND")


def unblock_port(lab: Lab, name: str) -> None:
    """Stop dropping them."""
    lab.run_in(lab.node(name), f"nft -f - <<'END'\n{_NO_TABLE}\nEND")
    lab.undo_log.done(_port(name))


# To add what may be there makes it possible to delete what may not be there.
_NO_TABLE = f"add table inet {NFT_BLOCKED}\ndelete table inet {NFT_BLOCKED}"


def _device(name: str) -> str:
    return f"device of {name}"


def _port(name: str) -> str:
    return f"port of {name}"
