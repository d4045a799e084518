"""Faults that put WireGuard's framing around what WireGuard did not encrypt."""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

# Data messages (type 4) from an ephemeral port: `periodic` repeats 16 bytes in each, `repeated` the same random bytes.
_MESSAGES = """
import os, socket, struct, sys, time
ready, port, mode, peer = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
wire = socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM)
same = os.urandom(256)
open(ready, "w").close()
counter = 0
while True:
    counter += 1
    text = os.urandom(16) * 16 if mode == "periodic" else same
    try:
        wire.sendto(struct.pack("<IIQ", 4, 7, counter) + text, (peer, port))
    except OSError:
        pass
    time.sleep(0.02)
"""


def _send(lab: Lab, node: LabNode, *, mode: str) -> None:
    start(lab, node, "no-cipher", _MESSAGES, lab.expected.listen_port, mode, lab.next_to(node).addresses[0])


for _mode, _what in (("periodic", "has a period of 16 bytes"), ("repeated", "is the same under every counter")):
    fault(
        f"ciphertext-{_mode}",
        description=f"messages with WireGuard's framing go from the node to the next one, whose text {_what}",
        shows="UDP 51871 that looks like WireGuard to whoever looks at the type alone",
        source="a tunnel that masks in place of encrypting; a broken cipher, or a nonce that stands still",
        catcher="wire.ciphertext",
        names="pair",
    )(partial(_send, mode=_mode))
