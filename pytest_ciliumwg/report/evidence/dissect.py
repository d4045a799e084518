"""A program of its own that decodes frames and writes capture files with scapy; it imports nothing of ours.

A process for it, because loading scapy takes seconds, makes folders in the user's home, keeps caches there and asks the
kernel for the machine's interfaces and routes. Here it gets a home of its own from its caller, asks for nothing, and is
not able to open a socket. What it reads are frames off a network, so it may fail or hang without harm to the run.

On standard input is `{wireguard_port, files: [{path, device, packets: [{at, data, length, outgoing, comment,
decode}]}]}`; on standard output comes a list for each file, of `{summary, layers: [{name, fields}]}` for each packet
that is to be decoded, and null for others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

_LONGEST_VALUE = 64
"""Characters of a field's value; the bytes themselves are in the capture file."""
_MOST_LAYERS = 24
_ETHERNET = 1
_IN, _OUT = 1, 2


def _no_sockets(event: str, _: object) -> None:
    if event.startswith(("socket.__new__", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")):
        raise PermissionError(f"decoding frames needs no {event}")


def _nothing(_: object) -> None:
    """What scapy is to do in place of asking for the machine's interfaces."""


def load() -> None:
    """Load scapy without its look at this machine's network, and refuse whatever else it might want to ask."""
    sys.addaudithook(_no_sockets)
    from scapy.config import conf
    from scapy.interfaces import NetworkInterfaceDict

    conf.route_autoload = conf.route6_autoload = False
    setattr(NetworkInterfaceDict, "reload", _nothing)  # noqa: B010 - or the type checker takes it for a mistake
    import scapy.contrib.geneve
    import scapy.contrib.wireguard
    import scapy.layers.inet
    import scapy.layers.inet6
    import scapy.layers.l2
    import scapy.layers.vxlan

    # Ports as numbers: which names there are depends on the machine, and test traffic is none of these services.
    for layer in (scapy.layers.inet.TCP, scapy.layers.inet.UDP):
        conf.noenum.add(layer.sport, layer.dport)


def speak_wireguard(port: int) -> None:
    """Decode what goes to or from a port as WireGuard; scapy knows the default one."""
    from scapy.contrib.wireguard import Wireguard
    from scapy.layers.inet import UDP
    from scapy.packet import bind_layers

    bind_layers(UDP, Wireguard, dport=port)
    bind_layers(UDP, Wireguard, sport=port)


def decode(data: bytes) -> dict[str, Any]:
    """A frame as one line, and layer by layer; what scapy cannot read stays bytes."""
    from scapy.layers.l2 import Ether

    try:
        packet = Ether(data)
        return {"summary": packet.summary(), "layers": list(_layers(packet))}
    except Exception as error:  # its dissectors raise whatever comes out of bytes that are cut or make no sense
        return {"summary": f"not decoded: {error}", "layers": []}


def _layers(packet: Any) -> Iterator[dict[str, Any]]:
    for number in range(_MOST_LAYERS):
        layer = packet.getlayer(number)
        if layer is None:
            return
        values = {field.name: layer.getfieldval(field.name) for field in layer.fields_desc}
        yield {"name": layer.name, "fields": {name: _text(layer, name, value) for name, value in values.items()}}


def _text(layer: Any, name: str, value: Any) -> str:
    if isinstance(value, bytes):
        cut = f" … {len(value)} bytes" if len(value) > _LONGEST_VALUE // 2 else ""
        return value[: _LONGEST_VALUE // 2].hex() + cut
    told = str(layer.get_field(name).i2repr(layer, value))
    return told if len(told) <= _LONGEST_VALUE else told[:_LONGEST_VALUE] + "…"


def write(path: str, device: str, packets: list[dict[str, Any]]) -> None:
    """A pcapng file of one device's packets, with their comments."""
    from scapy.packet import Raw
    from scapy.utils import PcapNgWriter

    writer = PcapNgWriter(path)
    writer.linktype = _ETHERNET
    try:
        writer.write_header(None)
        for row in packets:
            packet = Raw(bytes.fromhex(row["data"]))
            packet.time, packet.wirelen, packet.comments = row["at"], row["length"], [row["comment"].encode()]
            packet.sniffed_on, packet.direction = device, _OUT if row["outgoing"] else _IN
            writer.write_packet(packet)
    finally:
        writer.close()


def main() -> int:
    """Read the request, write the files, print what was decoded."""
    request = json.load(sys.stdin)
    load()
    speak_wireguard(request["wireguard_port"])
    answer = []
    for file in request["files"]:
        write(file["path"], file["device"], file["packets"])
        answer.append([decode(bytes.fromhex(one["data"])) if one["decode"] else None for one in file["packets"]])
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
