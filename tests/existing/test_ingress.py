"""A cluster with an Ingress or Gateway: between these and pods of other nodes all is in WireGuard, or found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.faults.wire.bypass import bypass
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
from pytest_ciliumwg.providers.lab.lab import Lab
from tests.apidouble import ApiDouble
from tests.apidouble.edited import EditedBackend
from tests.apidouble.store import Object
from tests.existing.test_lab import run_suite

pytestmark = pytest.mark.slow


class WithIngress(EditedBackend):
    """A lab whose API shows the worker's idle pod as what it is to others: the address of the node's ingress."""

    def __init__(self, lab: Lab) -> None:
        self._node = lab.layout[1]
        super().__init__(lab, self._publish)

    def _publish(self, resource: str, value: Object) -> None:
        if resource == "ciliumnodes" and value["metadata"]["name"] == self._node.name:
            value["spec"]["ingress"] = {"ipv4": str(self._node.idle_pod.pod.addresses[0])}

    def _edited(self, objects: list[tuple[str, Object]]) -> list[tuple[str, Object]]:
        idle = self._node.idle_pod.pod.name
        return [item for item in super()._edited(objects) if item[1]["metadata"]["name"] != idle]


@pytest.mark.thorough
@pytest.mark.parametrize("leak", ["nothing", "answers in cleartext"])
def test_ingress(tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, leak: str) -> None:
    spec = LabSpec(cilium_version="1.14.6", nodes=2, families=frozenset({IPFamily.V4}))
    cluster = create_lab(spec, lambda _: None)
    try:
        lab = cluster.lab
        backend, ingress = lab.layout[0].idle_pod.pod.addresses[0], lab.layout[1].idle_pod.pod.addresses[0]
        start_foreign_traffic(lab, *lab.layout)
        if leak != "nothing":
            bypass(lab, lab.layout[0], ends=[(backend, ingress)])
        with ApiDouble(WithIngress(lab)) as double:
            monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
            done = run_suite(pytester, "-k", "other_pods or allowed_ips", f"--ciliumwg-report={tmp_path / 'report'}")
    finally:
        cluster.close()
    assert done.ret == (0 if leak == "nothing" else 1), done.stdout.str()
    report = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
    (check,) = [check for check in report["checks"] if check["id"] == "wire.other-pods"]
    if leak == "nothing":
        assert check["outcome"] == "pass"
    else:
        assert "reserved/ingress" in check["message"]
        assert f"UDP {backend} → {ingress}" in check["message"]
        assert f"{ingress} → {backend}" not in check["message"]
