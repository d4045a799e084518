"""The suite judges a record as it judges a live cluster: the same checks, findings and reports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.offline.conftest import DETACHED, HEALTHY, RECORDINGS, Changed, Judge

# The WireGuard of these recordings is a process of its own, which the suite is right to refuse, live as well.
FOREIGN_WIREGUARD = {"device.kind"}


def test_a_pod_without_an_endpoint_is_named(judge: Judge, changed: Changed) -> None:
    def without(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        if name.rpartition("/")[2].startswith("ciliumendpoints-"):
            listed = yaml.safe_load(content)
            listed["items"] = [item for item in listed["items"] if item["metadata"]["name"] != "pod-a"]
            content = yaml.safe_dump(listed).encode()
        yield name.replace("-215241.yaml", f"-{at}.yaml"), content

    at = "215241"
    assert judge(changed(without)).outcomes()["config.nodes"] == "pass", "it had been started half a minute before"
    at = "220241"
    record = changed(without)
    named = judge(record)
    assert "rig-worker, default/pod-a: expected a CiliumEndpoint of this pod" in named.messages("config.nodes")
    hidden = judge(record, more=("--ciliumwg-anonymise",), name="hidden")
    assert "pod-a" not in json.dumps(hidden.report)
    assert hidden.outcomes()["config.nodes"] == "fail"


def test_a_healthy_record_and_what_it_does_not_prove(judge: Judge) -> None:
    run = judge(HEALTHY, RECORDINGS / "healthy")
    assert run.titles("fail") == FOREIGN_WIREGUARD
    assert run.titles("inconclusive") == {"device.rp-filter", "wire.captured", "capture.coverage"}
    assert {"wire.other-pods", "capture.input", "steering.redirect"} <= run.titles("pass")
    assert run.messages("capture.coverage").startswith("all captures: 3 captures do not tell whether frames were drop")
    unproven = run.messages("wire.captured").splitlines()
    assert [line.partition(":")[0] for line in unproven] == [
        "rig-control-plane → rig-worker",
        "rig-control-plane → rig-worker2",
        "rig-worker → rig-control-plane",
        "rig-worker2 → rig-control-plane",
    ]
    assert all("which proves nothing: let pods of the two talk meanwhile" in line for line in unproven)
    assert "`pytest-ciliumwg collect --node rig-worker` reads it" in run.messages("device.rp-filter")
    assert run.last == (
        "NOT CONFORMANT: 1 check of the state failed (1 check could not be told); "
        "wire: 2 of 6 pairs seen encrypted, none in cleartext"
    )


def test_a_small_file_says_that_nothing_was_dropped(judge: Judge, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    shutil.copytree(RECORDINGS / "healthy", folder)
    said = "".join(f"{path.name}: {{node: {path.name.split('.')[0]}, drops: 0}}\n" for path in folder.iterdir())
    folder.joinpath("captures.yaml").write_text(said)
    assert "capture.coverage" in judge(HEALTHY, folder, more=("-k", "native_devices_were_captured")).titles("pass")
    folder.joinpath("captures.yaml").write_text(said.replace("drops: 0", "drops: 5"))
    dropped = judge(HEALTHY, folder, more=("-k", "native_devices_were_captured or test_other_pods"))
    assert dropped.titles("inconclusive") == {"wire.other-pods"}


def test_agents_that_were_restarted_meanwhile_and_what_they_log(judge: Judge, changed: Changed) -> None:
    def restarted(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        ended = b"lastState: {terminated: {finishedAt: '2026-11-26T21:53:30Z', reason: OOMKilled}}"
        yield (
            name,
            content.replace(b"lastState: {}\n      name: cilium-agent", ended + b"\n      name: cilium-agent", 1),
        )
        if "/k8s-pods-" in name:
            log = f"{name.partition('/')[0]}/logs-cilium-jtwnp-cilium-agent-20261126-215241.log"
            yield log, b'time=2026-11-26T21:52:02Z level=error msg="WireGuard peer is gone" error="of 10.0.0.225"\n'

    run = judge(changed(restarted), RECORDINGS / "healthy", more=("-k", "agents_ran"))
    (check,) = run.report["checks"]
    assert check["outcome"] == "inconclusive"
    assert "its agent was restarted at 21:53:30.000 (OOMKilled), between the captures and the look" in check["message"]
    assert "the agent's log: 2026-11-26T21:52:02 error: WireGuard peer is gone: of 10.0.0.225" in str(check["notes"])
    told = run.result.stdout.str()
    assert "WireGuard peer is gone" in told
    assert judge(HEALTHY, RECORDINGS / "healthy", more=("-k", "agents_ran")).titles("pass") == {"capture.restarts"}


def test_a_leak_is_the_first_finding_with_its_cause(judge: Judge) -> None:
    run = judge(DETACHED, RECORDINGS / "egress-detached")
    assert run.titles("fail") == FOREIGN_WIREGUARD | {"steering.redirect", "wire.other-pods"}
    first = run.report["findings"][0]
    assert first["headline"] == (
        "rig-worker sends pods' traffic to rig-worker2 in cleartext: no program redirects packets into cilium_wg0"
    )
    (traffic,) = first["traffic"]
    assert traffic.startswith(
        "rig-worker → rig-worker2: ICMP v4, 1 flow, 40 frames at rig-worker eth0, 21:54:45.694 to"
    )
    assert traffic.endswith("answers come in WireGuard, so ping shows no loss; default/pod-a → default/pod-b")
    assert first["state"][0]["where"] == "rig-worker eth0 IPv4"
    assert "nothing at the egress hook" in first["state"][0]["said"]
    assert "1 of 6 pairs seen encrypted, 1 in cleartext (40 frames)" in run.last


def test_without_captures_the_wire_is_unknown(judge: Judge) -> None:
    run = judge(HEALTHY)
    assert {"wire.other-pods", "wire.captured", "capture.coverage"} <= run.titles("inconclusive")
    assert (
        "no capture of rig-worker2's eth0: `pytest-ciliumwg collect --capture 60s` takes those of all nodes, "
        "`tcpdump -i eth0 -s 128 -w rig-worker2.eth0.pcap` there only this one"
    ) in run.messages("capture.coverage")
    assert run.last.endswith("wire: no capture, so nothing is known")
    assert run.result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ciliumwg-provider=offline"], "say with --ciliumwg-input what is to be judged"),
        (["--ciliumwg-provider=offline", "--ciliumwg-input=nothing.zip"], "there is no nothing.zip"),
        (["--ciliumwg-provider=lab", f"--ciliumwg-input={HEALTHY}"], "goes with --ciliumwg-provider=offline only"),
        (
            ["--ciliumwg-provider=offline", f"--ciliumwg-input={HEALTHY}", "--ciliumwg-profile=disruptive"],
            "nothing can be changed with --ciliumwg-provider=offline",
        ),
        (["--ciliumwg-provider=offline", f"--ciliumwg-input={__file__}"], "traffic between nodes needs 2"),
    ],
)
def test_a_mistake_is_one_sentence(pytester: pytest.Pytester, arguments: list[str], sentence: str) -> None:
    run = pytester.runpytest_inprocess("--ciliumwg", *arguments)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    both = run.stdout.str() + run.stderr.str()
    assert sentence in both
    assert "Traceback" not in both
