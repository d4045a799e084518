"""Charts as Helm packs them, as far as this package reads them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

DESCRIBED = """# a chart
apiVersion: v2
name: cilium
description: "version: 9.9.9 of nothing"
version: {version}
appVersion: {version}
"""


def chart_archive(path: Path, version: str) -> Path:
    """An archive, with a dependency that has a description of its own before it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, described in (("cilium/charts/other/Chart.yaml", "0.0.1"), ("cilium/Chart.yaml", version)):
            content = DESCRIBED.format(version=described).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def chart_folder(path: Path, version: str) -> Path:
    """A folder."""
    path.mkdir()
    path.joinpath("Chart.yaml").write_text(DESCRIBED.format(version=version))
    return path
