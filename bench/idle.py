"""What the plugin costs a run of pytest that has nothing to do with it: pairs of runs with it and with an empty one.

`python -m bench idle`. Bytecode is kept, as it is for users. The runs are interleaved, and it is the difference of each
pair that counts.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.results import Result, Row

PAIRS = 50


def _run(directory: str, plugin: str) -> float:
    """Milliseconds of processor time of one run."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{directory}:{Path.cwd()}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin, directory]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> Result:
    """Compare."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "empty_plugin.py").write_text("", encoding="utf-8")
        Path(directory, "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
        for plugin in ("empty_plugin", "pytest_ciliumwg.plugin"):
            _run(directory, plugin)  # compiles
        pairs = [(_run(directory, "empty_plugin"), _run(directory, "pytest_ciliumwg.plugin")) for _ in range(PAIRS)]
    costs = [ours - bare for bare, ours in pairs]
    bare = statistics.median(bare for bare, _ in pairs)
    return Result("idle", [Row("own cost of the plugin", costs, "ms", f"a run without it takes {bare:.0f} ms")])
