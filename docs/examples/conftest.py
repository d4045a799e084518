"""A provider and a file of the report of our own."""

from collections.abc import Callable, Mapping

from pytest_ciliumwg.api import Cluster, Document, LabSpec, Progress, Settings, create_lab


def pytest_ciliumwg_cluster(settings: Settings, progress: Progress) -> Cluster | None:
    """A lab like our machines: two nodes, two network cards each."""
    if settings.provider != "lab":
        return None
    version = settings.cilium_version or "1.18"
    return create_lab(LabSpec(cilium_version=version, nodes=2, devices=("eth0", "eth1")), progress)


def pytest_ciliumwg_report_writers() -> Mapping[str, Callable[[Document], str]]:
    """One line for our chat."""
    return {"chat.txt": lambda report: f"{report['cluster']['provider']}: {report['verdict']}\n"}
