"""`pytest-ciliumwg collect --capture` captures what pods say to each other, leaves nothing, and is judged elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.cli import main, records
from pytest_ciliumwg.faults.catalogue import FAULTS
from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.options.table import OPTIONS
from pytest_ciliumwg.providers.existing import RetryPolicy
from pytest_ciliumwg.providers.offline.collect import collect, write_archive
from tests.apidouble import ApiDouble, LabBackend
from tests.apidouble.recorded import NODE
from tests.existing.conftest import MakeDouble, spec_for
from tests.offline.conftest import opened

SECONDS = 2.0


def captured(double: ApiDouble, folder: Path, name: str) -> Path:
    spec = spec_for(double, folder, timeout=60.0, retry_policy=RetryPolicy(poll=0.05))
    collected = collect(spec, [], lambda _: None)
    records.capture(spec, collected, SECONDS)
    assert collected.problems == []
    assert sorted(collected.captures) == ["lab-control-plane.eth0.pcapng.gz", "lab-worker.eth0.pcapng.gz"]
    assert double.ours() == []
    write_archive(collected, path := folder / f"{name}.tar.gz")
    return path


def judged(pytester: pytest.Pytester, path: Path) -> tuple[dict[str, Any], str]:
    report = Path(pytester.path, path.name.partition(".")[0])
    arguments = ["--ciliumwg-provider=offline", f"--ciliumwg-input={path}", f"--ciliumwg-report={report}"]
    run = pytester.runpytest_inprocess("--ciliumwg", *arguments, "-p", "no:cacheprovider")
    return json.loads((report / "report.json").read_text("utf-8")), [x for x in run.stdout.lines if x.strip()][-1]


def test_where_nothing_may_be_made_the_state_is_kept(
    recorded: MakeDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    double = recorded("v1.15/on")
    double.mishap(refused='admission webhook "gate" denied the request: no')
    config = f"--kubeconfig={double.kubeconfig(tmp_path / 'kubeconfig')}"
    archive = tmp_path / "state.tar.gz"
    assert main(["collect", config, f"--node={NODE}", "--capture=60s", f"--output={archive}"]) == 2
    said = capsys.readouterr().out
    assert "1 nodes, 0 captures" in said
    assert "the capture failed: the agents cannot run: " in said
    assert 'webhook "gate" denied the request' in said
    assert len(opened(archive).nodes()) == 3
    assert double.ours() == []
    with pytest.raises(SystemExit):
        main(["collect", config, "--capture=2h"])
    assert "a capture may last 60m at most" in capsys.readouterr().err


def test_a_secret_to_pull_the_image_with_is_asked_for_as_in_a_live_run(
    recorded: MakeDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"--kubeconfig={recorded('v1.15/on').kubeconfig(tmp_path / 'kubeconfig')}"
    secret = "--image-pull-secret=nope"  # noqa: S105 - a name
    assert main(["collect", config, "--capture=1s", secret, f"--output={tmp_path}/state.tar.gz"]) == 2
    assert "the capture failed: there is no secret nope in namespace default" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["collect", config, "--image-pull-policy=Sometimes"])
    assert "--image-pull-policy: 'Sometimes' is not accepted: " in capsys.readouterr().err


def interrupted(double: ApiDouble, folder: Path) -> tuple[int, str]:
    config = f"--kubeconfig={double.kubeconfig(folder / 'kubeconfig')}"
    code = "import sys; from pytest_ciliumwg.cli import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, "collect", config, "--capture=60s", f"--output={folder}/never.tar.gz"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as run:
        assert run.stderr is not None
        said = ""
        for line in run.stderr:
            said += line
            if "capturing the headers of all frames on 2 nodes for 60 s" in line:
                run.send_signal(signal.SIGINT)
    return run.returncode, said


def test_what_pods_say_is_judged_elsewhere(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_ACTIONS", *(option.env for option in OPTIONS)):
        monkeypatch.delenv(name, raising=False)
    double = lab_double("1.18.3", nodes=2)
    assert isinstance(double.backend, LabBackend)
    lab = double.backend.lab
    worker = lab.node("lab-worker")
    start_foreign_traffic(lab, worker, lab.next_to(worker))

    report, last = judged(pytester, captured(double, tmp_path, "healthy"))
    assert {check["id"] for check in report["checks"] if check["outcome"] == "fail"} == set()
    assert last == "conformant: state conforms; wire: 2 of 2 pairs seen encrypted, none in cleartext"

    FAULTS["redirect-removed"].inject(lab, worker)
    report, last = judged(pytester, captured(double, tmp_path, "leaking"))
    assert report["findings"][0]["headline"] == (
        "lab-worker sends pods' traffic to lab-control-plane in cleartext: no program redirects packets into cilium_wg0"
    )
    assert "1 of 2 pairs seen encrypted, 1 in cleartext" in last

    assert interrupted(double, tmp_path)[0] == 130
    assert double.ours() == []
    assert not tmp_path.joinpath("never.tar.gz").exists()
