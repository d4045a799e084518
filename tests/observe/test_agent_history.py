"""Restarts of agents, and what their logs say of WireGuard."""

from __future__ import annotations

from typing import Any

from pytest_ciliumwg.observe.agent_history import histories_from_pods, wireguard_lines

LOG = b"""\
2026-11-26T21:51:59.5Z time=2026-11-26T21:51:59.5Z level=info msg="  --enable-wireguard='true'"
2026-11-26T21:52:01.1Z time=2026-11-26T21:52:01.1Z level=warn msg="Waiting for k8s node information" error="none"
2026-11-26T21:52:02.2Z time=2026-11-26T21:52:02.2Z level=error msg="WireGuard peer not updated" error="no \\"route\\""
level=warning msg="Unable to set WireGuard key" subsys=wireguard
2026-11-26T21:53:02.2Z time=2026-11-26T21:53:02.2Z level=error msg="WireGuard peer not updated" error="no \\"route\\""
level=fatal msg="WireGuard private-key=qGmZJ0Yv3lRkT7Jr5Ews1yQw9c0NfLbXo2uHd8tPa1E= is bad"
no line of a log about wireguard
"""


def test_warnings_about_wireguard_once_each_and_without_keys() -> None:
    assert wireguard_lines(LOG) == (
        "warning: Unable to set WireGuard key",
        '2026-11-26T21:53:02 error: WireGuard peer not updated: no \\"route\\"',
        "fatal: WireGuard private-key=[redacted] is bad",
    )


def test_restarts() -> None:
    ended = {"terminated": {"finishedAt": "2026-11-26T21:52:00Z", "reason": "OOMKilled", "exitCode": 137}}
    statuses = [
        {"name": "cilium-agent", "restartCount": 3, "lastState": ended},
        {"name": "other", "restartCount": 9, "lastState": {}},
    ]
    pods: list[dict[str, Any]] = [
        {"spec": {"nodeName": "one"}, "status": {"containerStatuses": statuses}},
        {"spec": {"nodeName": "two"}, "status": {"containerStatuses": [{"name": "cilium-agent", "restartCount": 0}]}},
        {"spec": {"nodeName": "three"}, "status": {"containerStatuses": [{"name": "web", "restartCount": 7}]}},
        {"spec": {}, "status": {}},
    ]
    found = histories_from_pods(pods)
    assert found.keys() == {"one", "two"}
    assert (found["one"].restarts, found["one"].ended_at, found["one"].why) == (3, 1795729920.0, "OOMKilled")
    assert (found["two"].restarts, found["two"].ended_at) == (0, None)
