"""What the agent's `debuginfo --output json` says of the agent itself: what it is configured to do, what it selected.

Its WireGuard device is read in `cilium.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ciliumwg.observe.json_reader import Value, decode

PLACE = "the output of the agent's `debuginfo --output json`"


def settings_from_debuginfo(text: str) -> Mapping[str, str]:
    """The agent's runtime configuration, in the words of the ConfigMap cilium-config.

    It is what the ConfigMap, objects of the kind CiliumNodeConfig, the command line and the environment made together
    when the agent started. Empty where the agent does not tell it.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    entries = (entry.text().partition(":") for entry in decode(text, PLACE).each("environment-variables"))
    return {key: value for key, _, value in entries}


def selected_from_debuginfo(text: str) -> tuple[str, ...] | None:
    """The devices that Cilium selected, by name; None where the agent does not tell, as before 1.15 it mostly does not.

    Raises:
        ObservationError: the output is not that, or cut off.
    """
    return selected_in(decode(text, PLACE))


def selected_in(document: Value) -> tuple[str, ...] | None:
    """The same, of a document that is decoded."""
    status = document.get("cilium-status")
    if status is None:
        return None
    for part in ("host-firewall", "kube-proxy-replacement"):
        if found := _devices(status.get(part)):
            return found
    return None


def _devices(part: Value | None) -> tuple[str, ...]:
    return () if part is None else tuple(device.text() for device in part.each("devices"))
