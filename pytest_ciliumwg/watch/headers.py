"""Bounded captures of headers by node agents, on all nodes at the same time, for a verdict elsewhere."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial

from pytest_ciliumwg.agent_client.client import Agent
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.providers.base import AgentTransport, Progress
from pytest_ciliumwg.waiting import for_each

AT_ONCE = 32
_MORE_SECONDS = 30.0
"""How long after its time a capture may still be read out of the rings."""


def capture_headers(
    agents: Mapping[str, AgentTransport], devices: Mapping[str, Sequence[str]], seconds: float, progress: Progress
) -> tuple[dict[str, bytes], list[str]]:
    """Capture on some devices of nodes for a while.

    Returns the captures by `NODE.DEVICE.pcapng.gz`, and what is missing of them, a sentence each.
    """
    job = secrets.token_hex(8)
    known = {node: Agent(transport) for node, transport in agents.items()}
    problems: list[str] = []

    def started(node: str) -> str:
        try:
            known[node].start_headers(job, devices[node], seconds)
        except AgentError as error:
            return f"nothing was captured on node {node}: {error}"
        return ""

    refused = dict(zip(known, for_each(started, known, at_once=AT_ONCE), strict=True))
    problems += filter(None, refused.values())
    running = [node for node, why in refused.items() if not why]
    progress(f"collect: capturing the headers of all frames on {len(running)} nodes for {seconds:g} s")
    time.sleep(seconds if running else 0.0)
    files: dict[str, bytes] = {}
    fetch = partial(_fetched, job)
    for node, (found, told) in zip(
        running, for_each(lambda node: fetch(known[node]), running, at_once=AT_ONCE), strict=True
    ):
        files |= {f"{node}.{device}.pcapng.gz": data for device, data in found.items()}
        problems += [f"the captures on node {node}: {problem}" for problem in told]
    return files, problems


def _fetched(job: str, agent: Agent) -> tuple[dict[str, bytes], list[str]]:
    """Device → its capture, as far as it could be fetched; and what is wrong."""
    found: dict[str, bytes] = {}
    try:
        ended = agent.await_headers(job, _MORE_SECONDS)
        if ended is None:
            return {}, [f"they had not ended after {_MORE_SECONDS:g} s more"]
        sizes, problems = ended
        for device, size in sizes.items():
            found[device] = _read(agent, job, device, size)
    except AgentError as error:
        return found, [f"they could not be fetched: {error}"]
    return found, problems


def _read(agent: Agent, job: str, device: str, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = agent.read_headers(job, device, len(data))
        if not part:
            raise AgentError(f"the agent {agent.name} has less of its capture than it says")
        data += part
    return bytes(data)
