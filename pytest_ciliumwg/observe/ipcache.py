"""A node's ipcache, from its agent's `bpf ipcache list`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork
from pytest_ciliumwg.observe.json_reader import address, decode, network

_LIST = "the agent's `bpf ipcache list`"
_ENTRY = re.compile(r"identity=(\d+) encryptkey=(\d+) tunnelendpoint=(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IpcacheEntry:
    """What a node knows of the addresses of one network."""

    network: IPNetwork
    identity: int
    key: int
    """Of what is sent there; 0: it is not encrypted."""
    tunnel_endpoint: IPAddress


def ipcache_from(text: str) -> tuple[IpcacheEntry, ...]:
    """Read the list as JSON; entries of a form that is not known are left out.

    Raises:
        ObservationError: it is no such list.
    """
    document = decode(text, _LIST)
    found = []
    for prefix, values in document.mapping().items():
        parts = _ENTRY.match(str(values[0])) if isinstance(values, list) and values else None
        if parts is not None:
            found.append(_entry(prefix, *parts.groups()))
    return tuple(found)


def _entry(prefix: str, identity: str, key: str, endpoint: str) -> IpcacheEntry:
    return IpcacheEntry(
        network=network(prefix, _LIST),
        identity=int(identity),
        key=int(key),
        tunnel_endpoint=address(endpoint, _LIST),
    )
