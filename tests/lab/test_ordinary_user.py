"""A lab of an ordinary user, who has rights in a user namespace of his own and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.lab import LabSpec
from pytest_ciliumwg.providers.lab.requirements import TUN
from pytest_ciliumwg.providers.lab.spec import plan_nodes
from pytest_ciliumwg.providers.lab.steering import redirect_script

NOBODY = 65534
ROOT = Path(__file__).parents[2]
# env: what setpriv starts itself, it starts with root's rights to read.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env"] if os.geteuid() == 0 else []
SANDBOX = [*AS_NOBODY, "unshare", "--user", "--map-root-user", "--net", "--mount"]


def try_as_nobody(*command: str) -> bool:
    return subprocess.run([*AS_NOBODY, *command], capture_output=True, check=False).returncode == 0


def in_sandbox(script: str) -> str:
    done = subprocess.run([*SANDBOX, "sh", "-es"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def _user_namespaces() -> None:
    if not try_as_nobody(*SANDBOX[len(AS_NOBODY) :], "true"):
        pytest.skip("this machine lets no ordinary user make namespaces")


@pytest.mark.parametrize("routing", ["native", "vxlan", "geneve"])
def test_redirects_need_no_rights_outside_and_follow_a_device_that_is_made_anew(routing: str) -> None:
    spec = LabSpec(cilium_version="1.20.3", routing_mode=routing)  # type: ignore[arg-type]
    nodes = plan_nodes(spec)
    script = redirect_script(spec, nodes, nodes[0], spec.expectations())
    shows = "echo; echo SHOWN; tc filter show dev eth0 egress"
    output = in_sandbox(
        f"""
        ip link add eth0 type veth peer name wire; ip link add cilium_wg0 type bridge
        tc qdisc add dev eth0 clsact
        tc filter add dev eth0 egress pref 3 protocol ip u32 match u32 0 0 flowid 1:1
        {script}
        {shows}
        {script}
        {shows}
        ip link del cilium_wg0
        {shows}
        ip link add cilium_wg0 type bridge
        {script}
        {shows}
        """
    )
    first, again, gone, anew = output.split("SHOWN")[1:]
    led = [len(re.findall(r"Redirect to device cilium_wg0\)", text)) for text in (first, again, gone, anew)]
    assert led[0] > 0
    assert led == [led[0], led[0], 0, led[0]]
    assert first == again, "what stays is not touched"
    assert "pref 3 u32" in anew, "what is not the lab's stays"
    assert len(re.findall("fh .* order", first)) == len(re.findall("fh .* order", anew))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.13.18", "1.20.3"])
def test_the_suite_is_conformant(tmp_path: Path, version: str) -> None:
    python = next(
        (path for path in (sys.executable, shutil.which("python3", path="/usr/bin:/bin")) if path and usable(path)),
        None,
    )
    if python is None:
        pytest.skip("no Python here that an ordinary user may run has the version of this one, and its packages")
    if not try_as_nobody("test", "-r", str(TUN), "-a", "-w", str(TUN)):
        pytest.skip(f"{TUN} is for root alone here")
    home = Path("/tmp", f"ciliumwg-ordinary-{os.getpid()}")
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    try:
        environment = [f"HOME={home}", f"TMPDIR={home}", "PATH=/usr/bin:/bin", f"PYTHONPATH={ROOT}:{packages()}"]
        command = [*AS_NOBODY, "env", "-i", "PYTHONDONTWRITEBYTECODE=1", *environment, python, "-m", "pytest"]
        command += ["-q", "-p", "no:cacheprovider", "--ciliumwg", "--ciliumwg-provider=lab"]
        done = subprocess.run(
            [*command, f"--ciliumwg-cilium-version={version}"], cwd=home, capture_output=True, text=True, check=False
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    assert done.stdout.strip().splitlines()[-1].startswith("conformant: ")


def packages() -> Path:
    found = find_spec("pytest")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parents[1]


def usable(python: str) -> bool:
    same = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return try_as_nobody(python, "-c", same) and try_as_nobody("test", "-r", str(packages() / "pytest" / "__init__.py"))
