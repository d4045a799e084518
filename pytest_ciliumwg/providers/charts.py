"""Which Helm chart brings which version of Cilium, and whether a chart on disk is of that version."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ciliumwg.expect import same_version
from pytest_ciliumwg.expect.helm import chart_arguments

ANY = ""
"""In place of a version: the chart is for every version that has no own."""
_OCI = "oci://"
_FILE = "Chart.yaml"
_LARGEST = 1 << 20
_ENTRY = r"(?m)^{}:[ \t]*[\"']?([^\"'\s#]+)"


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts that the user names."""

    by_version: Mapping[str, str] = field(default_factory=dict)
    """Version, or ANY → a folder, an archive or `oci://…`."""

    def chart(self, version: str) -> str | None:
        """The chart for a version; None: from Cilium's Helm repository."""
        own = (chart for known, chart in self.by_version.items() if known and same_version(version, known))
        return next(own, self.by_version.get(ANY))

    def arguments(self, version: str) -> list[str]:
        """Which chart, for `helm`."""
        return chart_arguments(self.chart(version), version)

    def refusals(self, versions: Sequence[str]) -> list[str]:
        """What speaks against these charts for these versions, a sentence each."""
        found = dict.fromkeys(filter(None, map(self.refusal, versions)))
        idle = [known for known in self.by_version if known and not any(same_version(it, known) for it in versions)]
        return [*found, *(f"there is a chart for Cilium {known}, which this run does not install" for known in idle)]

    def refusal(self, version: str) -> str:
        """Why the chart for a version will not do; empty when it will, or when only Helm can tell."""
        chart = self.chart(version)
        if chart is None:
            return ""
        if chart.startswith(_OCI):
            tag = chart.removeprefix(_OCI).rpartition("/")[2].partition("@")[0].partition(":")[2]
            return _another(chart, tag, version) if tag else ""
        path = Path(chart)
        if not path.exists():
            return f"the chart {chart} does not exist: give a folder, an archive or oci://…"
        text = _described(path)
        found = re.search(_ENTRY.format("appVersion"), text) or re.search(_ENTRY.format("version"), text)
        if found is None:
            return f"{chart} is no Helm chart: it has no {_FILE} with a version"
        return _another(chart, found[1], version)


def _another(chart: str, found: str, version: str) -> str:
    try:
        if same_version(found, version):
            return ""
    except ValueError:
        return f"the chart {chart} does not tell its version of Cilium, but {found!r}"
    return (
        f"the chart {chart} is of Cilium {found}, not {version}: give each version its own with "
        "--ciliumwg-chart=VERSION=CHART"
    )


def _described(chart: Path) -> str:
    """A chart's own description of it; empty where it has none."""
    try:
        if chart.is_dir():
            return chart.joinpath(_FILE).read_text("utf-8", "replace")
        with tarfile.open(chart) as archive:
            for member in archive:
                # A chart's dependencies are charts too, further down.
                if member.isfile() and member.name.removeprefix("./").split("/")[1:] == [_FILE]:
                    content = archive.extractfile(member)
                    return content.read(_LARGEST).decode("utf-8", "replace") if content is not None else ""
    except (OSError, tarfile.TarError, EOFError):
        pass
    return ""
