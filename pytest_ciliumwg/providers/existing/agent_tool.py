"""Ask a Cilium agent with its own tool, in its container: `cilium` up to 1.14, later `cilium-dbg`.

A shell chooses; an image without one is asked for either by name.
"""

from __future__ import annotations

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.remote import Done, NoProgramError, Place, run_in

TOOLS = ("cilium-dbg", "cilium")
AGENT_TOOL = f"""
agent() {{
    for tool in {" ".join(TOOLS)}; do
        if command -v $tool >/dev/null 2>&1; then $tool "$@"; return; fi
    done
    echo "the agent's container has neither {" nor ".join(TOOLS)}" >&2; return 127
}}
"""
"""Defines `agent`, the agent's own tool, in a shell."""


def ask_agent(kube: Kube, place: Place, *arguments: str, timeout: float) -> Done:
    """Ask an agent one question that may be asked twice.

    Args:
        kube: The API server.
        place: The agent's container.
        *arguments: The question, such as `version -o json`, as words without blanks.
        timeout: Seconds for all attempts together.

    Raises:
        ProviderError: it cannot be asked.
    """
    script = f"{AGENT_TOOL}\nagent {' '.join(arguments)}"
    try:
        return run_in(kube, place, ["sh", "-c", script], timeout=timeout)
    except NoProgramError:
        pass
    for tool in TOOLS:
        try:
            return run_in(kube, place, [tool, *arguments], timeout=timeout)
        except NoProgramError:
            continue
    raise ProviderError(f"the image of {place} has neither a shell nor {' nor '.join(TOOLS)}")
