"""Look at a node with our own agent on its host network, where the image of Cilium's agent has no shell or no `ip`.

It asks the kernel by rtnetlink alone, so it needs no right that it does not have anyway. WireGuard's peers and the
programs at tcx hooks take CAP_NET_ADMIN and CAP_BPF: the peers Cilium's agent tells, the others stay unread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.observe.node_observer import TABLES
from pytest_ciliumwg.observe.sections import section_text
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.providers.base import AgentTransport

_SECONDS = 15.0
_NOT_ASKED = "our own agent cannot ask for it: that takes more rights than it has (--ciliumwg-look=own-agent)"


def own_look(transport: AgentTransport, families: Iterable[IPFamily], debuginfo: str) -> str:
    """What a node tells, in the sections that the script of the other look prints.

    Args:
        transport: The agent of the node.
        families: The IP families that the node has.
        debuginfo: What Cilium's agent tells of itself, as a section.

    Raises:
        ProviderError: the agent does not answer, or not with that.
    """
    names = sorted(family.value for family in families)
    request = json.dumps({"op": "look", "device": DEVICE, "families": names}).encode() + b"\n"
    try:
        reply = json.loads(transport.exchange(request, timeout=_SECONDS))
    except (AgentError, ValueError) as error:
        raise ProviderError(f"our own agent cannot look at its node: {error}") from None
    if not reply.get("ok"):
        raise ProviderError(f"our own agent cannot look at its node: {reply.get('error', 'no')}")
    return "\n".join([*_sections(reply["parts"], names), debuginfo])


def _sections(parts: Mapping[str, Mapping[str, Any]], families: Iterable[str]) -> Iterator[str]:
    def told(name: str, part: str, text: Any = json.dumps) -> str:
        found = parts[part]
        return section_text(name, error=found["error"]) if "error" in found else section_text(name, text(found["told"]))

    yield told("clock", "clock")
    yield told("links", "links")
    yield told("rp_filter", "rp_filter", str.strip)
    yield told("tc", "filters", _as_tc)
    for name in ("bpftool", "fwmark", "nodes"):
        yield section_text(name, error=_NOT_ASKED)
    for family in families:
        flag = f"-{family[1]}"
        yield told(f"rules{flag}", f"rules-{family}")
        yield told(f"routes{flag}-all", f"routes-{family}")
        for table in TABLES:
            yield told(f"routes{flag}-{table}", f"routes-{family}", lambda routes, table=table: _of(routes, table))


def _of(routes: Iterable[Mapping[str, Any]], table: str) -> str:
    return json.dumps([route for route in routes if route["table"] == table])


def _as_tc(filters: Mapping[str, Any]) -> str:
    return "\n".join(f"== {device}\n{json.dumps(found)}" for device, found in filters.items())
