"""The strict mode for what leaves, as the lab imitates it: what would go to pods in cleartext is dropped, and counted.

A packet that is encrypted has left the device's egress by redirection before. Like Cilium's it protects IPv4 alone.
"""

from __future__ import annotations

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.providers.lab.spec import POD_NETWORK, LabSpec

STRICT_PREFERENCE = 40000
"""Beyond those of all redirects."""
_SINK = "cilium_strict"
# Few kernels have tc's own action that drops. A device whose other end is down drops all that it is given.
_MAKE_SINK = f"""
ip link show dev {_SINK} >/dev/null 2>&1 ||
    ip link add {_SINK} type veth peer name {_SINK}0
ip link set {_SINK} up
"""
_DROP = """
tc filter show dev {device} egress pref {preference} | grep -q {sink} || tc filter add dev {device} egress \\
    protocol ip pref {preference} u32 match ip src {pods} match ip dst {pods} \\
    action mirred egress redirect dev {sink}
"""


def strict_mode_script(spec: LabSpec, expected: Expectations) -> str:
    """Drop what is not encrypted; runs on the node after its redirects are there, and can be repeated."""
    return drop_script(spec, STRICT_PREFERENCE) if expected.config.strict_egress else ""


def drop_script(spec: LabSpec, preference: int) -> str:
    """Drop what would leave for pods, by tc filters of this preference; runs on the node, and can be repeated."""
    drops = [
        _DROP.format(device=device, preference=preference, pods=POD_NETWORK, sink=_SINK) for device in spec.devices
    ]
    return "".join([_MAKE_SINK, *drops])


def no_strict_mode_script(spec: LabSpec) -> str:
    """Drop nothing any more; runs on the node."""
    return "\n".join(f"tc filter del dev {device} egress pref {STRICT_PREFERENCE}" for device in spec.devices)
