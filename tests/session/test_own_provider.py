"""A plugin's provider: chosen by its name, with the options and the plan of the built-in one that it is like."""

from __future__ import annotations

import pytest

NAMED = """
def pytest_ciliumwg_providers():
    return {names!r}
"""


def run(pytester: pytest.Pytester, names: dict[str, str], *words: str) -> pytest.RunResult:
    pytester.makeconftest(NAMED.format(names=names))
    return pytester.runpytest_inprocess("--ciliumwg", "-k", "test_every_node_publishes_a_key", *words, ".")


def test_the_plan_and_the_header_call_it_by_its_name(pytester: pytest.Pytester) -> None:
    chosen = "--ciliumwg-provider=racks"
    done = run(pytester, {"racks": "existing"}, chosen, "--ciliumwg-max-nodes=5", "--ciliumwg-plan")
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        ["ciliumwg: provider racks, Cilium as found, *", "cluster: provider racks, at most 5 nodes*"]
    )


@pytest.mark.parametrize(
    ("names", "words", "sentence"),
    [
        ({"racks": "lab"}, "--ciliumwg-provider=rack", "*'rack' is not accepted: accepted are kind, *, offline, racks"),
        (
            {"racks": "lab"},
            "--ciliumwg-provider=racks --ciliumwg-max-nodes=2",
            "*--ciliumwg-max-nodes goes with --ciliumwg-provider=existing only, not with the provider racks",
        ),
        ({"racks": "lab"}, "--ciliumwg-provider=racks", "*no plugin's hook pytest_ciliumwg_cluster made its cluster*"),
        ({"lab": "existing"}, "", "*gives its provider the name lab, which is a built-in one's: choose another"),
        ({"racks": "docker"}, "", "*says that racks is like 'docker': it can be like kind, existing, lab, offline"),
    ],
)
def test_a_mistake_is_one_sentence(pytester: pytest.Pytester, names: dict[str, str], words: str, sentence: str) -> None:
    done = run(pytester, names, *words.split())
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([sentence])
    assert "Traceback" not in done.stderr.str()
