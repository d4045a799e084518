"""What a run asks of a cluster is what deploy/ grants: nothing is missing, and nothing is more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.existing import ExistingSpec, connect_existing, find_leftovers, remove_leftovers
from pytest_ciliumwg.providers.existing.rights import Right, rights
from pytest_ciliumwg.providers.existing.spec import MANAGED_BY, OWNER_ANNOTATION
from tests.apidouble.rbac import Attributes, Rbac
from tests.existing.conftest import HASTY, MakeDouble, lab_double, recorded  # noqa: F401 - fixtures
from tests.existing.test_lab import run_suite

DEPLOY = Path(__file__).parents[2] / "deploy"
BY_ALL_SERVERS = frozenset({"create pods/exec in the cluster", "create pods/exec in kube-system"})
"""Asked for by Kubernetes from 1.35 on, though the request is a GET."""

OF_EXTENDED = frozenset({"list services in the cluster", "list endpointslices in the cluster"})
NOT_ASKED = {("events", "list"), ("pods/exec", "create"), ("pods/exec", "get")}
"""By this run: why a pod does not start, which all pods do here; what only newer servers ask for; and what one of two
Roles grants as well as the other."""
EXEC = next(right for right in rights() if right.resource == "pods/exec")
KIND_OF = {"cluster": "ClusterRole", "runs": "ClusterRole", "cilium": "Role"}

# Folders with rights → a run that needs all of them, and what it comes to.
RUNS = {
    ("base",): (("--ciliumwg-profile=core,extended",), "conformant"),
    ("base", "disruptive"): (
        ("--ciliumwg-profile=disruptive", "--ciliumwg-change=pod-churn,key-replaced", "-k", "test_change"),
        "partial",
    ),
}


def granted(*folders: str) -> list[dict[str, Any]]:
    files = [DEPLOY / folder / "rbac.yaml" for folder in folders]
    return [made for file in files for made in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


@pytest.mark.thorough(but=("base",))
@pytest.mark.slow
@pytest.mark.parametrize("folders", RUNS, ids="+".join)
def test_a_run_needs_what_it_is_granted(
    lab_double: MakeDouble,  # noqa: F811
    tmp_path: Path,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    folders: tuple[str, ...],
) -> None:
    arguments, outcome = RUNS[folders]
    double = lab_double("1.18.3", nodes=2, families=frozenset({IPFamily.V4}), extended="disruptive" not in folders)
    double.rbac = Rbac(granted(*folders))
    left = {
        "name": "ciliumwg-00000000",
        "labels": dict([MANAGED_BY]),
        "annotations": {OWNER_ANNOTATION: "elsewhere/1/1"},
    }
    double.store.put("namespaces", {"metadata": left})
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    verdict = tmp_path / "verdict"
    done = run_suite(pytester, *arguments, f"--ciliumwg-verdict-file={verdict}")
    assert done.ret == 0, done.stdout.str()
    assert verdict.read_text(encoding="utf-8").startswith(f"{outcome}: ")
    assert set(double.rbac.unused()) == BY_ALL_SERVERS | (OF_EXTENDED if "disruptive" in folders else set())
    assert double.ours() == [left["name"]]
    spec = ExistingSpec(kubeconfig=tmp_path / "kubeconfig", retry_policy=HASTY)
    remove_leftovers(spec, find_leftovers(spec), print)  # which is what --ciliumwg-cleanup does
    assert double.ours() == []


@pytest.mark.parametrize(
    ("right", "verb"),
    [(right, verb) for right in rights() for verb in right.verbs if (right.resource, verb) not in NOT_ASKED]
    + [(EXEC, "get")],
    ids=lambda value: value if isinstance(value, str) else f"{value.resource}-{value.scope}",
)
def test_a_right_that_is_missing_is_named(recorded: MakeDouble, tmp_path: Path, right: Right, verb: str) -> None:  # noqa: F811
    roles = granted("base")
    kinds = {KIND_OF[right.scope]} if right is not EXEC else {"ClusterRole", "Role"}
    for rule in (rule for role in roles if role["kind"] in kinds for rule in role["rules"]):
        if right.resource in rule["resources"]:
            rule["verbs"] = [kept for kept in rule["verbs"] if kept != verb]
    double = recorded()
    double.rbac = Rbac(roles)
    spec = ExistingSpec(kubeconfig=double.kubeconfig(tmp_path / "kubeconfig"), retry_policy=HASTY)
    told: list[str] = []
    try:
        connect_existing(spec, told.append).close()
    except ProviderError as error:
        told.append(str(error))
    (sentence,) = [line for line in told if f'cannot {verb} resource "{right.resource}"' in line]
    assert "ask the cluster's administrator for this right" in sentence
    assert "\n" not in sentence
    if right.resource != "namespaces":  # without these, nothing can see to it that the run's own goes
        assert double.ours() == []


def test_a_request_is_read_as_kubernetes_reads_it() -> None:
    exec_path = "/api/v1/namespaces/kube-system/pods/cilium-a/exec"
    assert Attributes.of("GET", exec_path) == Attributes("get", "", "pods/exec", "kube-system", "cilium-a")
    assert Attributes.of("POST", "/apis/apps/v1/namespaces/x/daemonsets").verb == "create"
    assert Attributes.of("GET", "/api/v1/namespaces") == Attributes("list", "", "namespaces", None, None)
    assert Attributes.of("DELETE", "/api/v1/namespaces/x") == Attributes("delete", "", "namespaces", None, "x")
