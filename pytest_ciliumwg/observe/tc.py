"""`tc` and `bpftool net`: what redirects packets on a device's tc hook into the WireGuard device."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.node_state import Redirect
from pytest_ciliumwg.observe.json_reader import Value, decode

Direction = Literal["ingress", "egress"]

REDIRECTING_PROGRAM = "cil_to_netdev"
"""The one BPF program of Cilium's on native devices that redirects; tc and bpftool may append `-` and the device."""

_BOTH = frozenset(IPFamily)
_FAMILIES = {
    "all": _BOTH,
    "ip": frozenset({IPFamily.V4}),
    "ipv6": frozenset({IPFamily.V6}),
}
"""tc's protocol of a filter to the families it sees; any other protocol (arp, 802.1Q …) sees neither."""

_HOOKS = frozenset({"clsact", "tcx"})
_FILTER = re.compile(
    r"filter (?:parent \S+ )?protocol (?P<protocol>\S+) pref \d+ (?P<kind>\S+)(?: chain \d+)?(?P<rest> .*)?"
)
_BPF = re.compile(r" handle \S+ (?P<name>\S+) .*\btag [0-9a-f]{16}\b.*")
_MIRRED = re.compile(
    r"action order \d+: mirred \((?P<way>Egress|Ingress) (?P<verb>Redirect|Mirror) to device (?P<to>\S+)\).*"
)


def redirects_from_tc(text: str, device: str, direction: Direction) -> tuple[Redirect, ...]:
    """Read `tc -j filter show dev DEVICE egress` (or ingress).

    A u32 filter repeats the member `match` in one object. The decoder keeps the last one only, which loses nothing:
    what a filter matches is not part of a `Redirect`.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    document = decode(text, f"the output of `tc -j filter show dev {device} {direction}`")
    found = []
    for entry in document.items():
        families = _FAMILIES.get(entry["protocol"].text(), frozenset())
        options = entry.get("options")
        if options is None or not options.mapping():
            continue  # the head of a list of filters, not a filter
        kind = entry["kind"].text()
        # A classic filter has bytecode and no name: whatever it does, it is not Cilium's.
        if kind == "bpf" and "bytecode" not in options.mapping() and _redirects(options["bpf_name"].text()):
            found.append(_redirect(device, direction, "bpf", REDIRECTING_PROGRAM, families))
        found += [_redirect(device, direction, "mirred", target, families) for target in _targets(options)]
    return _merged(found)


def _targets(options: Value) -> list[str]:
    """Where the filter's actions send packets; a mirrored packet still takes its own way too."""
    return [
        action["to_dev"].text()
        for action in options.each("actions")
        if action["kind"].text() == "mirred"
        and action["mirred_action"].text() == "redirect"
        and action["direction"].text() == "egress"
    ]


def redirects_from_tc_text(text: str, device: str, direction: Direction) -> tuple[Redirect, ...]:
    """Read `tc filter show dev DEVICE egress` (or ingress) as plain text, for nodes whose tc knows no JSON.

    Raises:
        ObservationError: a line is not understood, or cut off.
    """
    found = []
    families: frozenset[IPFamily] = frozenset()
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("filter"):
            head = _matched(_FILTER, line, device, direction)
            families = _FAMILIES.get(head["protocol"], frozenset())
            if head["kind"] == "bpf" and head["rest"] and head["rest"].strip() and " bytecode " not in head["rest"]:
                name = _matched(_BPF, head["rest"], device, direction)["name"]
                if _redirects(name):
                    found.append(_redirect(device, direction, "bpf", REDIRECTING_PROGRAM, families))
        elif line.startswith("action") and "mirred" in line:
            action = _matched(_MIRRED, line, device, direction)
            if (action["way"], action["verb"]) == ("Egress", "Redirect"):
                found.append(_redirect(device, direction, "mirred", action["to"], families))
        elif line and not line.startswith(("match ", "index ", "action order ", "Sent ", "backlog ")):
            _matched(_FILTER, line, device, direction)
    return _merged(found)


def _matched(pattern: re.Pattern[str], line: str, device: str, direction: Direction) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        message = (
            f"the output of `tc filter show dev {device} {direction}` has a line that is cut off or unknown: {line!r}"
        )
        raise ObservationError(message)
    return match


def redirects_from_bpftool(text: str) -> tuple[Redirect, ...]:
    """Read `bpftool -j net`: the redirecting programs of all devices, attached with tc (clsact) or tcx.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    document = decode(text, "the output of `bpftool -j net`")
    parts = list(document.items())
    if not parts:
        message = "shows nothing at all"
        raise document.wrong(message)
    found = []
    for entry in (entry for part in parts for entry in part["tc"].items()):
        hook, _, direction = entry["kind"].text().partition("/")
        name = entry.get("name")
        if name is None or not _redirects(name.text()) or hook not in _HOOKS:
            continue
        found.append(
            _redirect(entry["devname"].text(), _direction(entry, direction), "bpf", REDIRECTING_PROGRAM, _BOTH)
        )
    return _merged(found)


_ATTACHED = re.compile(
    r"(?P<device>\S+)\(\d+\) (?P<hook>\w+)/(?P<direction>ingress|egress) (?P<name>\S+)(?: (?:prog_)?id \d+)?(?: .*)?"
)
_HEADS = ("xdp:", "tc:", "flow_dissector:", "netfilter:")


def redirects_from_bpftool_text(text: str) -> tuple[Redirect, ...]:
    """Read `bpftool net` as plain text, likewise.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    if "tc:" not in (lines := text.splitlines()):
        raise ObservationError("the output of `bpftool net` has no part `tc:`, so it is cut off or something else")
    found, part = [], ""
    for line in filter(None, map(str.strip, lines)):
        if line in _HEADS:
            part = line
            continue
        if part != "tc:":
            continue
        attached = _ATTACHED.fullmatch(line)
        if attached is None:
            raise ObservationError(f"the output of `bpftool net` has a line that is cut off or unknown: {line[:80]!r}")
        if _redirects(attached["name"]) and attached["hook"] in _HOOKS:
            direction: Direction = "ingress" if attached["direction"] == "ingress" else "egress"
            found.append(_redirect(attached["device"], direction, "bpf", REDIRECTING_PROGRAM, _BOTH))
    return _merged(found)


def _direction(entry: Value, text: str) -> Direction:
    match text:
        case "ingress" | "egress":
            return text
        case _:
            message = "names a hook that is neither ingress nor egress"
            raise entry.wrong(message)


def _redirects(program: str) -> bool:
    return program.split("-", 1)[0] == REDIRECTING_PROGRAM


def _redirect(
    device: str, direction: Direction, means: Literal["bpf", "mirred"], program: str, families: frozenset[IPFamily]
) -> Redirect:
    return Redirect(device=device, direction=direction, means=means, program=program, families=families)


def _merged(redirects: Iterable[Redirect]) -> tuple[Redirect, ...]:
    """One redirect for each place and target, with the families of all filters that make it."""
    families: dict[tuple[str, Direction, Literal["bpf", "mirred"], str], frozenset[IPFamily]] = {}
    for redirect in redirects:
        key = (redirect.device, redirect.direction, redirect.means, redirect.program)
        families[key] = families.get(key, frozenset()) | redirect.families
    return tuple(_redirect(*key, family) for key, family in families.items() if family)
