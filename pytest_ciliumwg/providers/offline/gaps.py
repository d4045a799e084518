"""What an input lacks, each in one sentence that names the command which closes the gap."""

from __future__ import annotations


def no_output(node: str, command: str) -> str:
    """A command whose output is missing of a node."""
    return f"the input has no output of `{command}` of {node}: `pytest-ciliumwg collect --node {node}` reads it"


def no_node(node: str) -> str:
    """A node of which nothing is there."""
    return f"the input has nothing that was read on {node}: `pytest-ciliumwg collect --node {node}` reads it"


def no_capture(node: str, device: str) -> str:
    """A native device without a capture."""
    return (
        f"no capture of {node}'s {device}: `pytest-ciliumwg collect --capture 60s` takes those of all nodes, "
        f"`tcpdump -i {device} -s 128 -w {node}.{device}.pcap` there only this one"
    )
