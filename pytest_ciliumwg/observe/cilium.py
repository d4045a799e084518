"""What the Cilium agent says: `status`, `encrypt status`, `debuginfo`, `version`, `bpf ipcache list`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork
from pytest_ciliumwg.model.node_state import Endpoint, Peer, WireGuardDevice
from pytest_ciliumwg.observe.debuginfo import PLACE
from pytest_ciliumwg.observe.json_reader import Value, address, decode, network, number
from pytest_ciliumwg.observe.wireguard import DEVICE, endpoint_of

_STATUS = "the output of the agent's `status`"
_ENCRYPT_STATUS = "the output of the agent's `encrypt status`"
_NODE_LIST = "the output of the agent's `node list -o json`"
_IPCACHE = "the output of the agent's `bpf ipcache list`"
_MODES = frozenset({"disabled", "ipsec", "wireguard", "ztunnel"})
_STATUS_LINE = re.compile(r"^Encryption:\s+(?P<mode>\w+)[ \t]*(?:\[(?P<details>[^\]\n]*)\])?[ \t]*$", re.MULTILINE)
_DETAILS = re.compile(
    r"(?:NodeEncryption: (?P<node>\w+), )?(?P<name>\S+) "
    r"\(Pubkey: (?P<key>[^,]+), Port: (?P<port>\d+), Peers: (?P<peers>\d+)\)"
)
_ENCRYPT_LINES = re.compile(
    r"Encryption: (?P<mode>\w+)\s*"
    r"(?:Interface: (?P<name>\S+)\n\s+Public key: (?P<key>\S+)\n\s+Number of peers: (?P<peers>\d+)\n\s*)?"
)
_VERSION_LINE = re.compile(r"^Daemon: (\S+) \S+ .*$", re.MULTILINE)
_IPCACHE_FIELD = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionStatus:
    """What an agent reports of encryption. Whether traffic is encrypted is another question."""

    mode: str
    """In lower case: disabled, wireguard, ipsec or ztunnel."""
    device: str | None = None
    public_key: str | None = None
    listen_port: int | None = None
    """None where this output does not tell it."""
    peers: int | None = None
    node_encryption: str | None = None
    """`Disabled`, `Enabled` or `OptedOut`; None before 1.14, and where this output does not tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpcacheEntry:
    """What the datapath of one node knows of an address."""

    prefix: IPNetwork
    identity: int
    encrypt_key: int
    """255 where 1.14 and later encrypt towards it with WireGuard."""
    tunnel_endpoint: IPAddress | None
    """The node of the address; None for local and unknown ones."""


def encryption_from_status_json(text: str) -> EncryptionStatus:
    """Read `status -o json`.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    return _encryption(decode(text, _STATUS)["encryption"])


def _encryption(value: Value) -> EncryptionStatus:
    mode = _mode(value["mode"].text(), _STATUS)
    wireguard = value.get("wireguard")
    if mode != "wireguard" or wireguard is None:
        return EncryptionStatus(mode=mode)
    interface = _interface(wireguard)
    port, node = interface.get("listen-port"), wireguard.get("node-encryption")
    return EncryptionStatus(
        mode=mode,
        device=interface["name"].text(),
        public_key=interface["public-key"].text(),
        listen_port=None if port is None else port.integer(),
        peers=interface.count("peer-count"),
        node_encryption=None if node is None else node.text(),
    )


def _interface(wireguard: Value) -> Value:
    for interface in wireguard["interfaces"].items():
        if interface["name"].text() == DEVICE:
            return interface
    message = f"has no interface {DEVICE}"
    raise wireguard.wrong(message)


def _mode(text: str, place: str) -> str:
    mode = text.lower()
    if mode not in _MODES:
        message = f"{place} has an unknown encryption mode {text!r}"
        raise ObservationError(message)
    return mode


def encryption_from_status_text(text: str) -> EncryptionStatus:
    """Read the line `Encryption:` of `status`.

    Raises:
        ObservationError: the output has no such line, or it is cut off.
    """
    line = _STATUS_LINE.search(text)
    if line is None:
        message = f"{_STATUS} has no whole line 'Encryption:'"
        raise ObservationError(message)
    mode = _mode(line["mode"], _STATUS)
    if mode != "wireguard":
        return EncryptionStatus(mode=mode)
    details = _DETAILS.fullmatch(line["details"] or "")
    if details is None:
        message = f"{_STATUS} says WireGuard, but not its device, key, port and peers"
        raise ObservationError(message)
    return EncryptionStatus(
        mode=mode,
        device=details["name"],
        public_key=details["key"],
        listen_port=number(details["port"], _STATUS),
        peers=number(details["peers"], _STATUS),
        node_encryption=details["node"],
    )


def encryption_from_encrypt_status(text: str) -> EncryptionStatus:
    """Read `encrypt status`, as text or as the JSON that newer agents print for `-o json`.

    Raises:
        ObservationError: the output is neither, or cut off.
    """
    if text.lstrip().startswith("{"):
        return _encryption(decode(text, _ENCRYPT_STATUS))
    match = _ENCRYPT_LINES.fullmatch(text)
    mode = _mode(match["mode"], _ENCRYPT_STATUS) if match is not None else ""
    if match is None or (mode == "wireguard" and match["name"] is None):
        message = f"{_ENCRYPT_STATUS} is cut off, or something else"
        raise ObservationError(message)
    if mode != "wireguard":
        return EncryptionStatus(mode=mode)
    return EncryptionStatus(
        mode=mode,
        device=match["name"],
        public_key=match["key"],
        peers=number(match["peers"], _ENCRYPT_STATUS),
    )


def wireguard_from_debuginfo(text: str) -> tuple[WireGuardDevice, tuple[Peer, ...]] | None:
    """Read `debuginfo --output json`, the one agent output with peers; it does not tell the device's firewall mark.

    Returns:
        The device and its peers; None where the agent does not do WireGuard.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    return wireguard_in(decode(text, PLACE))


def wireguard_in(document: Value) -> tuple[WireGuardDevice, tuple[Peer, ...]] | None:
    """The same, of a document that is decoded: with many peers it is long."""
    encryption = document.get("encryption")
    if encryption is None and document.get("cilium-version") is None and document.get("cilium-status") is None:
        message = "has neither encryption nor version, so it is something else"
        raise document.wrong(message)
    wireguard = encryption.get("wireguard") if encryption is not None else None
    if wireguard is None:
        return None
    interface = _interface(wireguard)
    device = WireGuardDevice(
        name=DEVICE,
        public_key=interface["public-key"].text(),
        listen_port=interface["listen-port"].integer(),
        fwmark=None,
    )
    return device, tuple(_peer(peer) for peer in interface.each("peers"))


_Shared = tuple[str, Endpoint | None, frozenset[IPNetwork]]
"""The key, endpoint and allowed IPs of a peer."""
_SHARED: dict[str, tuple[tuple[Any, Any], _Shared]] = {}
"""Key → how its endpoint and allowed IPs were told last, and what was read of them.

All other nodes tell the same of a peer: it is read once, and kept once.
"""
_MOST_SHARED = 1 << 16


def _peer(value: Value) -> Peer:
    public_key, endpoint, allowed_ips = _shared(value)
    return Peer(
        public_key=public_key,
        endpoint=endpoint,
        allowed_ips=allowed_ips,
        latest_handshake=_handshake(value),
        rx_bytes=value.count("transfer-rx"),
        tx_bytes=value.count("transfer-tx"),
    )


def _shared(value: Value) -> _Shared:
    raw = value.mapping()
    key, told = raw.get("public-key"), (raw.get("endpoint"), raw.get("allowed-ips"))
    known = _SHARED.get(key) if isinstance(key, str) else None
    if known is not None and known[0] == told:
        return known[1]
    key, endpoint = value["public-key"].text(), value.get("endpoint")
    end = None if endpoint is None else endpoint_of(endpoint.text(), "a peer of the agent's `debuginfo`")
    found = key, end, value.networks("allowed-ips")
    if len(_SHARED) >= _MOST_SHARED:
        _SHARED.clear()
    _SHARED[key] = told, found
    return found


def _handshake(value: Value) -> float | None:
    """When a peer shook hands last; None when it never did."""
    told = value.mapping().get("last-handshake-time")
    try:
        return None if told is None else _seconds(told)
    except (TypeError, ValueError, OverflowError) as error:
        message = "holds no point in time"
        raise value["last-handshake-time"].wrong(message) from error


@lru_cache(maxsize=65536)
def _seconds(text: str) -> float | None:
    """When a handshake was; None for Go's zero time, the year 1, and WireGuard's, 1970: neither is a handshake."""
    moment = datetime.fromisoformat(text)
    return (moment.timestamp() or None) if moment.year >= 1970 else None


def version_from_agent(text: str) -> str:
    """Read the running agent's version from `version` or `version -o json`.

    Raises:
        ObservationError: the output is not that, is cut off, or names a client only, as when no agent answers.
    """
    place = "the output of the agent's `version`"
    if text.lstrip().startswith("{"):
        return decode(text, place)["Daemon"]["Version"].text()
    line = _VERSION_LINE.search(text)
    if line is None:
        message = f"{place} does not name the daemon's version"
        raise ObservationError(message)
    return line[1]


def known_nodes_from_agent(text: str) -> dict[IPAddress, str]:
    """Read `node list -o json`: address → name of every node that an agent knows, those of other clusters too.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    found: dict[IPAddress, str] = {}
    for node in decode(text, _NODE_LIST).items():
        primary = node.get("primary-address")
        families = [] if primary is None else [primary.get("ipv4"), primary.get("ipv6")]
        for value in [*families, *node.each("secondary-addresses")]:
            ip = None if value is None else value.mapping().get("ip")
            if value is not None and ip:
                found[value["ip"].address()] = node["name"].text()
    return found


def ipcache_from_agent(text: str) -> tuple[IpcacheEntry, ...]:
    """Read `bpf ipcache list -o json`.

    Raises:
        ObservationError: the output is not that, is cut off, or empty, which the map of a running agent never is.
    """
    document = decode(text, _IPCACHE)
    entries = tuple(_ipcache_entry(prefix, document[prefix]) for prefix in document.mapping())
    if not entries:
        message = "shows no address at all"
        raise document.wrong(message)
    return entries


def _ipcache_entry(prefix: str, value: Value) -> IpcacheEntry:
    line = next(value.items(), None)
    fields = dict(_IPCACHE_FIELD.findall(line.text())) if line is not None else {}
    if not {"identity", "encryptkey", "tunnelendpoint"} <= fields.keys():
        message = "has no identity, encryptkey and tunnelendpoint"
        raise value.wrong(message)
    endpoint = address(fields["tunnelendpoint"], _IPCACHE)
    return IpcacheEntry(
        # With a cluster mesh, an address may be followed by `@` and the id of its cluster.
        prefix=network(prefix.partition("@")[0], _IPCACHE),
        identity=number(fields["identity"], _IPCACHE),
        encrypt_key=number(fields["encryptkey"], _IPCACHE),
        tunnel_endpoint=None if endpoint.is_unspecified else endpoint,
    )
