"""WireGuard's own view of the device and its peers, from `wg` on a node or in the agent's container."""

from __future__ import annotations

import re
from functools import lru_cache

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.node_state import DUMMY_KEY, Endpoint, Peer, WireGuardDevice
from pytest_ciliumwg.observe.json_reader import address, networks, number

DEVICE = "cilium_wg0"

_FIELDS = ("public-key", "listen-port", "fwmark", "peers", "endpoints", "allowed-ips", "latest-handshakes", "transfer")

WG_SHOW_SCRIPT = f"""\
for field in {" ".join(_FIELDS)}; do
    echo "== $field"
    wg show {DEVICE} "$field" || exit 1
done
echo "== end"
"""
"""Prints all that may be known of the device, for `sh -c`. It asks for single fields, because `dump` and `showconf`
print the private key. The last line tells whole output from cut-off output."""

_COMMAND = f"`wg show {DEVICE}`"
_DUMP = "`wg show all dump`"
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_ENDPOINT = re.compile(r"(?:\[(?P<v6>[^\]%]+)(?:%[^\]]+)?\]|(?P<v4>[^:]+)):(?P<port>\d{1,5})")


def wireguard_from_show(text: str) -> tuple[WireGuardDevice, tuple[Peer, ...]]:
    """Read what `WG_SHOW_SCRIPT` prints.

    Raises:
        ObservationError: the output is cut off or not understood, or the peers changed while they were read.
    """
    sections = _sections(text)
    device = WireGuardDevice(
        name=DEVICE,
        public_key=_optional_key(_only(sections, "public-key"), _COMMAND),
        listen_port=_port(_only(sections, "listen-port"), _COMMAND),
        fwmark=_mark(_only(sections, "fwmark"), _COMMAND),
    )
    tables = [_table(sections, name) for name in _FIELDS[4:]]
    keys = [_key(line, _COMMAND) for line in sections["peers"]]
    # Cilium's dummy peer lives for a moment only, so it may be in some of the lists.
    real = [key for key in keys if key != DUMMY_KEY or all(key in table for table in tables)]
    if any(set(table) - {DUMMY_KEY} != set(real) - {DUMMY_KEY} for table in tables):
        message = f"the peers that {_COMMAND} lists changed while they were read; read them again"
        raise ObservationError(message)
    endpoints, allowed_ips, handshakes, transfer = tables
    return device, tuple(
        _peer(
            _COMMAND,
            public_key=key,
            endpoint=endpoints[key],
            allowed_ips=allowed_ips[key].split(),
            handshake=handshakes[key],
            transfer=transfer[key].split(),
        )
        for key in real
    )


def fwmark_from_wg(text: str) -> int:
    """Read `wg show cilium_wg0 fwmark`; 0 is none.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    return _mark(text.strip(), f"`wg show {DEVICE} fwmark`")


def wireguard_from_dump(text: str) -> tuple[WireGuardDevice, tuple[Peer, ...]]:
    """Read `wg show all dump` where nothing else is at hand; the private key in it is neither kept nor quoted.

    Unlike `wireguard_from_show`, this cannot notice output that was cut off between two lines.

    Raises:
        ObservationError: the output is cut off or not understood, or has no device `cilium_wg0`.
    """
    device: WireGuardDevice | None = None
    peers = []
    for line in text.splitlines():
        match line.split("\t"):
            case [str(name), _, key, port, mark] if name == DEVICE:
                device = WireGuardDevice(
                    name=DEVICE,
                    public_key=_optional_key(key, _DUMP),
                    listen_port=_port(port, _DUMP),
                    fwmark=_mark(mark, _DUMP),
                )
            case [str(name), key, _, endpoint, allowed_ips, handshake, rx, tx, _keepalive] if name == DEVICE:
                peers.append(
                    _peer(
                        _DUMP,
                        public_key=_key(key, _DUMP),
                        endpoint=endpoint,
                        allowed_ips=allowed_ips.split(","),
                        handshake=handshake,
                        transfer=[rx, tx],
                    )
                )
            case [""]:
                continue  # without any device, there is one empty line
            case [str(name), *others] if name != DEVICE and len(others) in {4, 8}:
                continue  # another device of the node
            case columns:
                message = f"the output of {_DUMP} has a line of {len(columns)} columns, or is cut off"
                raise ObservationError(message)
    if device is None:
        message = f"the output of {_DUMP} has no device {DEVICE}"
        raise ObservationError(message)
    return device, tuple(peers)


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("== "):
            current = sections.setdefault(line.removeprefix("== "), [])
        elif line:
            current.append(line)
    missing = [name for name in (*_FIELDS, "end") if name not in sections]
    if missing:
        message = f"the output of {_COMMAND} is cut off: it has no {missing[0]}"
        raise ObservationError(message)
    return sections


def _only(sections: dict[str, list[str]], name: str) -> str:
    if len(sections[name]) != 1:
        message = f"the output of {_COMMAND} has {len(sections[name])} lines for {name}, not one"
        raise ObservationError(message)
    return sections[name][0]


def _table(sections: dict[str, list[str]], name: str) -> dict[str, str]:
    """Each peer's key to the rest of its line."""
    rows = (line.partition("\t") for line in sections[name])
    return {_key(key, _COMMAND): rest for key, _, rest in rows}


def _peer(
    command: str, *, public_key: str, endpoint: str, allowed_ips: list[str], handshake: str, transfer: list[str]
) -> Peer:
    if len(transfer) != 2:
        message = f"the output of {command} has no two numbers for a peer's transfer"
        raise ObservationError(message)
    place = f"the output of {command}"
    rx, tx = (number(count, place) for count in transfer)
    return Peer(
        public_key=public_key,
        endpoint=None if endpoint == "(none)" else endpoint_of(endpoint, place),
        allowed_ips=networks(() if allowed_ips == ["(none)"] else allowed_ips, place),
        latest_handshake=float(number(handshake, place)) or None,
        rx_bytes=rx,
        tx_bytes=tx,
    )


@lru_cache(maxsize=65536)
def endpoint_of(text: str, place: str) -> Endpoint:
    """Read `192.0.2.1:51871` or `[2001:db8::1]:51871` out of a place that messages name."""
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        message = f"{place} holds {text!r}, which is no endpoint of a peer"
        raise ObservationError(message)
    return Endpoint(address=address(match["v6"] or match["v4"], place), port=int(match["port"]))


def _key(text: str, command: str) -> str:
    if _KEY.fullmatch(text) is None:
        message = f"the output of {command} is not understood, or cut off: a public key was expected"
        raise ObservationError(message)
    return text


def _optional_key(text: str, command: str) -> str | None:
    return None if text == "(none)" else _key(text, command)


def _port(text: str, command: str) -> int | None:
    return number(text, f"the output of {command}") or None


def _mark(text: str, command: str) -> int:
    return 0 if text == "off" else number(text, f"the output of {command}")
