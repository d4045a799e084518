"""Images of Cilium's agent without a shell, or without programs: what is missing is named, and the rest is read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.existing import connect_existing
from tests.apidouble import ApiDouble
from tests.apidouble.recorded import NODE
from tests.apidouble.trouble import ALWAYS
from tests.existing.conftest import Connect, MakeDouble, spec_for

RUNTIMES = {
    "containerd": "Internal error occurred: error executing command in container: failed to exec in container: failed "
    'to start exec "0a": OCI runtime exec failed: exec failed: unable to start container process: exec: "PROGRAM": '
    "executable file not found in $PATH: unknown",
    "cri-o": "Internal error occurred: error executing command in container: executable file `PROGRAM` not found: "
    "executable file not found",
}


def without(double: ApiDouble, program: str, runtime: str = "containerd") -> None:
    """Let the agents' image have no such program."""
    status = {"status": "Failure", "reason": "InternalError", "message": RUNTIMES[runtime].replace("PROGRAM", program)}
    double.trouble(rf"GET .*/exec.*container=cilium-agent.*[?&]command={program}(&|$)", status=status, times=ALWAYS)


@pytest.mark.parametrize("runtime", list(RUNTIMES))
def test_no_shell(recorded: MakeDouble, connect: Connect, runtime: str) -> None:
    double = recorded()
    without(double, "sh", runtime)
    cluster = connect(double)
    assert cluster.actual_config().version.startswith("1.15"), "the tool is asked without a shell"
    before = len(double.journal)
    state = cluster.state(NODE)
    assert state.link is None
    (why,) = set(state.unread.values())
    wanted = r"the image of container cilium-agent of pod \S+ has no `sh`, which looking .* needs \(not with --.*\)"
    assert re.fullmatch(wanted, why)
    asked = [line for line in double.journal[before:] if "command=sh" in line]
    assert len(asked) == 1, "what cannot change is not tried again"


def test_no_shell_and_no_tool(recorded: MakeDouble, tmp_path: Path) -> None:
    double = recorded()
    for program in ("sh", "cilium-dbg", "cilium"):
        without(double, program)
    with pytest.raises(ProviderError, match=r"the image of container cilium-agent .* has neither a shell nor"):
        connect_existing(spec_for(double, tmp_path), lambda _: None)


@pytest.mark.parametrize(
    ("missing", "fields", "says"),
    [
        (["ip"], {"link", "rules", "routes"}, "the program `ip` is missing where the node was looked at"),
        (["bpftool", "tc"], {"redirects"}, "the program `bpftool` is missing .*; the program `tc` is missing"),
    ],
)
def test_no_program(
    recorded: MakeDouble,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: list[str],
    fields: set[str],
    says: str,
) -> None:
    double = recorded()
    bare = tmp_path / "bare"
    bare.mkdir()
    for program in ("sh", "env", "cat", "date", "echo", "test"):
        bare.joinpath(program).symlink_to(str(shutil.which(program)))
    backend: Any = double.backend
    for program in missing:
        backend._tools.joinpath(program).unlink(missing_ok=True)
    command = backend.command

    def poor(*arguments: Any) -> list[str]:
        return [word.replace(":/usr/bin:/bin", f":{bare}") for word in command(*arguments)]

    monkeypatch.setattr(backend, "command", poor)
    state = connect(double).state(NODE)
    assert fields <= state.unread.keys()
    for name in fields:
        assert re.search(says, state.unread[name]), state.unread[name]
    assert state.peers, "what the agent tells is read all the same"


def test_our_own_agent_looks_where_the_image_has_no_shell(lab_double: MakeDouble, connect: Connect) -> None:
    """What differs is what takes rights that our agent has not, which is named."""
    double = lab_double("1.18.3", nodes=2)
    seen = connect(double, timeout=30.0).state("lab-worker")
    without(double, "sh")
    cluster = connect(double, timeout=30.0, look="own-agent")
    assert cluster.untouched is None
    told = cluster.state("lab-worker")
    assert told.unread.keys() - seen.unread.keys() == {"fwmark"}
    assert re.search("takes more rights than it has", told.unread["fwmark"])
    for part in ("link", "peers", "rules", "native_devices", "rp_filter", "macs", "selected"):
        assert getattr(told, part) == getattr(seen, part), part
    assert set(told.routes) == set(seen.routes)
    assert set(told.other_routes) == set(seen.other_routes)
    assert {(each.device, each.program) for each in told.redirects} == {("eth0", "cilium_wg0")}


@pytest.mark.thorough
def test_the_suite_with_our_own_look(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = lab_double("1.18.3", nodes=2, families=frozenset({IPFamily.V4}))
    without(double, "sh")
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    options = ("--ciliumwg-provider=existing", "--ciliumwg-look=own-agent", "-p", "no:cacheprovider")
    done = pytester.runpytest_inprocess("--ciliumwg", *options)
    assert done.ret == 0, done.stdout.str()
    done.stdout.fnmatch_lines(["conformant: *"])
