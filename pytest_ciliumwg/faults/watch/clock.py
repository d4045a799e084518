"""Faults of a node's clock, by which its agents say when they watched and when they sent."""

from __future__ import annotations

from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.faults.tools.consequences import BLIND
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.faults.tools.transports import AfterStartTransport
from pytest_ciliumwg.faults.watch.capture import kill
from pytest_ciliumwg.providers.base import AgentTransport
from pytest_ciliumwg.providers.lab.agents import ARCHIVE
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.waiting import wait_for

JUMP_SECONDS = -3600
_START_SECONDS = 10.0

# The kernel's clock belongs to the whole machine, so the agent gets one that is off by what a file says.
_AGENT = """
import sys, time
ready, archive, socket_path, offset = sys.argv[1:5]
real = time.time

def shifted():
    try:
        with open(offset) as file:
            return real() + float(file.read())
    except (OSError, ValueError):
        return real()

time.time = shifted
sys.path.insert(0, archive)
from ciliumwg_agent.service import main
open(ready, "w").close()
main(["serve", "--socket", socket_path])
"""


@fault(
    "clock-jump",
    description="the node's clock is set back by an hour just after its watch began",
    shows="a watch that ends before it began: which packets it covered, nobody can say",
    source="NTP that steps the clock of a virtual machine after it was resumed",
    catcher="capture.window",
    also=(*BLIND, "size.delivered"),
)
def clock_jump(lab: Lab, node: LabNode) -> None:
    """Run the agents of the node and of its test pod by a clock of their own, and set that back."""
    offset = f"{node.directory}/clock"
    for place in (node.name, node.test_pod.netns):
        transport = lab.transport(place)
        kill(lab, transport)
        start(lab, node, f"agent-{place}", _AGENT, ARCHIVE, f"/run/ciliumwg/{place}/agent.sock", offset, netns=place)
        _wait_for(transport)
    lab.wrap_transport(
        node, lambda inner: AfterStartTransport(inner, lambda: lab.run_in(node, f"echo {JUMP_SECONDS} >{offset}"))
    )


def _wait_for(transport: AgentTransport) -> None:
    def missing() -> str:
        try:
            transport.exchange(b'{"op":"hello"}\n', timeout=1)
        except AgentError as error:
            return str(error)
        return ""

    if why := wait_for(missing, seconds=_START_SECONDS, poll=0.02):
        raise ProviderError(f"the agent {transport.name} did not start again: {why}")
