"""Our objects in a cluster: one namespace with the agents, from its creation until it is gone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.existing.injected import lacking, others, proxies
from pytest_ciliumwg.providers.existing.manifests import PULL_SECRET, ROLES, Manifests, Role
from pytest_ciliumwg.providers.existing.readiness import NotReady, not_made, not_ready_of, refusals, warnings_of
from pytest_ciliumwg.providers.existing.spec import ROLE_LABEL, ExistingSpec, RunId
from pytest_ciliumwg.providers.kubernetes.errors import FORBIDDEN, NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.waiting import wait_for

Object = Mapping[str, Any]


@dataclass(slots=True)
class Installation:
    """The objects of one run in one cluster."""

    kube: Kube
    spec: ExistingSpec
    nodes: Sequence[str]
    """Where to put agents."""
    progress: Progress
    roles: Sequence[Role] = ROLES
    """What to put there."""
    run: RunId = field(default_factory=RunId.new)
    _made: bool = False

    def create(self) -> None:
        """Create everything and wait until all agents run.

        Raises:
            ProviderError: the cluster refuses something, or the agents do not get ready.
        """
        made = Manifests(self.run, self.spec)
        secret = self._pull_secret()
        what = "an agent and a test pod" if "test-pod" in self.roles else "an agent"
        self.progress(f"existing: {len(self.nodes)} nodes get {what} in {self.run.namespace}")
        # From the first request on there may be something to remove, even if its answer is lost.
        self._made = True
        self.kube.create("namespaces", made.namespace())
        inside: list[tuple[str, Object]] = [("serviceaccounts", made.service_account())]
        if secret is not None:
            inside.append(("secrets", made.pull_secret(secret)))
        inside.append(("configmaps", made.agent_files()))
        if "test-pod" in self.roles:
            self._allow(made.policy())
        inside += [("daemonsets", made.daemon_set(role, self.nodes)) for role in self.roles]
        for resource, body in inside:
            self.kube.create(resource, body, namespace=self.run.namespace)
        self.await_ready(self.nodes)
        pods = self.pods()
        _refuse_what_lacks(pods)
        self._refuse_proxies(pods["test-pod"])

    def _refuse_proxies(self, pods: Mapping[str, Object]) -> None:
        """Refuse test pods whose traffic a service mesh leads through proxies of its own: it is not ours any more.

        Raises:
            ProviderError: there is such a pod.
        """
        if found := {node: names for node, pod in pods.items() if (names := proxies(pod))}:
            node, names = next(iter(found.items()))
            raise ProviderError(
                f"the test pod on {node} got what was not asked for ({', '.join(names)}): a service mesh changes what "
                "test pods send, so nothing can be measured; exempt namespaces with the label "
                "app.kubernetes.io/managed-by=pytest-ciliumwg from injection"
            )
        if more := sorted({name for pod in pods.values() for name in others(pod)}):
            self.progress(f"existing: something put other containers into the test pods: {', '.join(more)}")

    def _allow(self, policy: Object) -> None:
        """Let test traffic pass where policies deny what none allows; without the right to, say so and go on."""
        try:
            self.kube.create("networkpolicies", policy, namespace=self.run.namespace)
        except KubeError as error:
            if error.status not in (FORBIDDEN, NOT_FOUND):
                raise
            self.progress(f"existing: test pods get no network policy that lets their traffic pass: {error}")

    def _pull_secret(self) -> Object | None:
        wanted = self.spec.image_pull_secret
        if wanted is None:
            return None
        namespace, _, name = wanted.rpartition("/")
        found = self.kube.get("secrets", name, namespace=namespace or "default")
        if found is None:
            raise ProviderError(
                f"there is no secret {name} in namespace {namespace or 'default'} to be copied as {PULL_SECRET}: "
                "give it as NAMESPACE/NAME"
            )
        return found

    def pods(self) -> dict[Role, dict[str, Object]]:
        """Our pods as they are now: by role, then by node."""
        found: dict[Role, dict[str, Object]] = {role: {} for role in ROLES}
        for pod in self.kube.list("pods", namespace=self.run.namespace, labels=self.run.labels):
            node, metadata = (pod.get("spec") or {}).get("nodeName"), pod["metadata"]
            role = (metadata.get("labels") or {}).get(ROLE_LABEL)
            if node and role in found and not metadata.get("deletionTimestamp"):
                found[role].setdefault(node, pod)
        return found

    def await_ready(self, nodes: Sequence[str]) -> None:
        """Wait until an agent and a test pod run on each of these nodes.

        Raises:
            ProviderError: they cannot, or do not in time.
        """
        pulling: dict[str, float] = {}

        def missing() -> str:
            nonlocal pulling
            obstacles, now = self._obstacles(nodes), time.monotonic()
            pulling = {obstacle.where: pulling.get(obstacle.where, now) for obstacle in obstacles if obstacle.pull}
            for obstacle in obstacles:
                if obstacle.permanent or now - pulling.get(obstacle.where, now) > self.spec.retry_policy.pull:
                    raise ProviderError(f"the agents cannot run: {obstacle}; {obstacle.advice}".removesuffix("; "))
            return _summary(obstacles) if obstacles else ""

        why = wait_for(
            missing,
            seconds=self.spec.timeout,
            poll=self.spec.retry_policy.poll,
            progress=self.progress,
            doing="existing: waiting: ",
        )
        if why:
            raise ProviderError(f"the agents were not ready within {self.spec.timeout:g} s: {why}")

    def _obstacles(self, nodes: Sequence[str]) -> list[NotReady]:
        """What is still missing; the API is asked for events only while something is."""
        placed = self.pods()
        missing = [(role, node) for role in self.roles for node in nodes if node not in placed[role]]
        wanted = frozenset(nodes)
        waiting = [
            pod
            for by_node in placed.values()
            for node, pod in by_node.items()
            if node in wanted and not_ready_of(pod) is not None
        ]
        if not missing and not waiting:
            return []
        events = self.kube.list("events", namespace=self.run.namespace)
        warnings = warnings_of(events)
        found = [problem for problem in (not_ready_of(pod, warnings) for pod in waiting) if problem is not None]
        refused = list(refusals(events)) if missing else []
        return refused + found + [not_made(role, node, warnings) for role, node in missing]

    def keep(self) -> None:
        """Let everything outlive this run."""
        self._made = False

    def delete(self) -> None:
        """Delete the namespace and wait until it is gone; safe to call twice.

        Raises:
            ProviderError: it cannot be deleted, or does not go.
        """
        if not self._made:
            return
        self.progress(f"existing: removing {self.run.namespace}")
        delete_namespace(self.kube, self.run.namespace)
        self._made = False


def _summary(obstacles: Sequence[NotReady]) -> str:
    more = f" (and {len(obstacles) - 1} more)" if len(obstacles) > 1 else ""
    return f"{obstacles[0]}{more}"


def delete_namespace(kube: Kube, name: str) -> None:
    """Delete a namespace and wait until it is gone.

    Raises:
        ProviderError: it cannot be deleted, or does not go.
    """
    by_hand = f"remove it with --ciliumwg-cleanup or `kubectl delete namespace {name}`"

    def missing() -> str:
        found = kube.get("namespaces", name)
        return "" if found is None else f"after it was deleted{_why_not_gone(found)}"

    try:
        kube.delete("namespaces", name)
        why = wait_for(missing, seconds=kube.retry_policy.gone, poll=kube.retry_policy.poll / 4)
    except ProviderError as error:
        raise ProviderError(f"the namespace {name} is left behind: {error}; {by_hand}") from None
    if why:
        raise ProviderError(f"the namespace {name} is still there {kube.retry_policy.gone:.0f} s {why}; {by_hand}")


def _why_not_gone(namespace: Object) -> str:
    for condition in (namespace.get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True":
            return f" ({condition.get('reason')}: {' '.join(str(condition.get('message')).split())})"
    return ""


def _refuse_what_lacks(placed: Mapping[Role, Mapping[str, Object]]) -> None:
    """Refuse pods from which admission control took what they need: nothing would be measured.

    Raises:
        ProviderError: there is such a pod.
    """
    for role, pods in placed.items():
        for node, pod in pods.items():
            if missing := lacking(pod, role):
                raise ProviderError(
                    f"admission control took away from the {role} on {node} what it needs: {', '.join(missing)}; "
                    "exempt namespaces with the label app.kubernetes.io/managed-by=pytest-ciliumwg"
                )
