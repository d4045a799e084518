"""Tell the verdict in the cluster itself, where a CronJob runs the suite: as an Event and as a report object."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube, open_kube
from pytest_ciliumwg.report.cluster_objects import REPORTS, event, report
from pytest_ciliumwg.session.opening import existing_spec


def publish(settings: Settings, document: Mapping[str, Any], tell: Callable[[str], object]) -> None:
    """Put the verdict on the CronJob that the settings name; what cannot be done is told, and costs nothing else."""
    if settings.publish is None:
        return
    namespace, name = settings.publish
    spec = existing_spec(settings)
    try:
        kube = open_kube(spec.kubeconfig, spec.context, spec.retry_policy)
        try:
            cronjob = kube.get("cronjobs", name, namespace=namespace)
            if cronjob is None:
                raise ProviderError(f"there is no CronJob {name} in namespace {namespace} to put the verdict on")
            _put_event(kube, document, cronjob, tell)
            for resource in REPORTS:
                _put_report(kube, document, cronjob, resource, tell)
        finally:
            kube.close()
    except ProviderError as error:
        tell(f"the verdict is not published: {error}")


def _put_event(
    kube: Kube, document: Mapping[str, Any], cronjob: Mapping[str, Any], tell: Callable[[str], object]
) -> None:
    metadata = cronjob["metadata"]
    made = event(document, cronjob, f"{metadata['name']}.{secrets.token_hex(8)}")
    try:
        kube.create("events", made, namespace=metadata["namespace"])
    except KubeError as error:
        tell(f"there is no Event with the verdict: {error}")


def _put_report(
    kube: Kube,
    document: Mapping[str, Any],
    cronjob: Mapping[str, Any],
    resource: str,
    tell: Callable[[str], object],
) -> None:
    """Replace the report of the last run, or make the first one; a cluster without this kind goes without."""
    made = report(document, cronjob, resource)
    metadata = made["metadata"]
    try:
        try:
            kube.patch(resource, metadata["name"], made, namespace=metadata["namespace"])
        except KubeError as error:
            if error.status != NOT_FOUND:
                raise
            kube.create(resource, made, namespace=metadata["namespace"])
    except KubeError as error:
        if error.status != NOT_FOUND:
            tell(f"there is no {made['kind']} with the verdict: {error}")
