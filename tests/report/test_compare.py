"""Two reports compared: what counts as worse, and what makes no difference."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.cli import main
from pytest_ciliumwg.report.compare import as_json, as_markdown, compare

from .documents import check, document, finding, pair

Rows = dict[str, list[tuple[str, str]]]


def rows(old: dict[str, Any], new: dict[str, Any]) -> Rows:
    """Kind → subject and name of its differences."""
    differences = compare(old, new).differences
    return {
        kind: [(one.subject, one.name) for one in differences if one.kind == kind]
        for kind in dict.fromkeys(one.kind for one in differences)
    }


def test_times_do_not_count() -> None:
    old = document(check("a"), check("b", "skip"))
    new = copy.deepcopy(old) | {"started": "later", "finished": "later"}
    new["checks"][0]["seconds"] = 77
    assert compare(old, new).result == "equal"
    assert "The two runs are equal" in as_markdown(compare(old, new))


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "fail", "regressed"),
        ("pass", "inconclusive", "regressed"),
        ("inconclusive", "fail", "regressed"),
        ("skip", "fail", "regressed"),
        ("fail", "pass", "fixed"),
        ("inconclusive", "pass", "fixed"),
        ("fail", "inconclusive", "changed"),
        ("pass", "skip", "changed"),
        ("fail", "skip", "changed"),
        ("skip", "pass", "changed"),
    ],
)
def test_a_check(before: str, after: str, kind: str) -> None:
    found = rows(document(check("a[v4]", before), check("a[v6]")), document(check("a[v4]", after), check("a[v6]")))
    assert found == {kind: [("check", "a[v4]")]}


def test_what_was_left_out_or_waived_is_no_longer_verified() -> None:
    old = document(check("a"), check("b"))
    left_out = document(check("b"), not_run=[{"id": "a", "params": {}, "profile": "core"}])
    assert rows(old, left_out) == {"regressed": [("check", "a")]}
    assert rows(old, document(check("b"))) == {"disappeared": [("check", "a")]}
    waived = document(check("a", "skip", waived="a marker"), check("b"))
    assert rows(old, waived) == {"regressed": [("check", "a")]}


def test_what_is_new_and_wrong_is_a_regression() -> None:
    assert rows(document(), document(check("a"))) == {"appeared": [("check", "a")]}
    assert rows(document(), document(check("a", "inconclusive"))) == {"regressed": [("check", "a")]}


def test_the_outcome_of_the_run() -> None:
    good, partial, bad = document(), document(outcome="partial"), document(outcome="not-conformant")
    assert rows(good, partial) == rows(partial, bad) == {"regressed": [("run", "outcome")]}
    assert rows(bad, good) == {"fixed": [("run", "outcome")]}
    assert rows(bad, partial) == {"changed": [("run", "outcome")]}


def test_pairs_and_nodes() -> None:
    old = document()
    leaking = document(pairs=[pair("a", "b", "cleartext"), pair("b", "a")])
    assert rows(old, leaking) == {"regressed": [("pair", "a → b")]}
    assert rows(leaking, old) == {"fixed": [("pair", "a → b")]}
    third = document(pairs=[*old["pairs"], pair("a", "c", "unreachable")])
    third["cluster"]["nodes"] = ["a", "b", "c"]
    assert rows(old, third) == {"appeared": [("environment", "node c")], "regressed": [("pair", "a → c")]}
    newer = document()
    newer["cluster"]["declared"]["version"] = "1.21.0"
    assert rows(old, newer) == {"changed": [("environment", "declared version")]}
    assert compare(old, newer).result == "not worse"


KEY = "mV/0rkpzGgJtqcWwMYVnIPyXFyKTWCXcCDGtnfpsQ0o="


def test_a_finding_is_known_again_by_its_cause() -> None:
    told = "a: 12 frames lost in 3.5 s, peer {}"
    failing = check("x", "fail")
    old = document(failing, findings=[finding(told.format(KEY), "a", failed=("x",))])
    again = document(failing, findings=[finding(told.format("A" * 43 + "=").replace("12", "7"), "a", failed=("x",))])
    assert compare(old, again).result == "equal"
    other = document(failing, findings=[finding(told.format(KEY), "b", failed=("x",))])
    assert rows(old, other) == {"regressed": [("finding", "b")], "disappeared": [("finding", "a")]}
    one, another = finding("peer of worker-2 is missing", "a"), finding("peer of worker-3 is missing", "a")
    assert rows(document(findings=[one]), document(findings=[another]))["regressed"] == [("finding", "a")]
    more = finding("a and b send in cleartext", "a", state=[{"check": "steering.rule", "where": "a", "said": "none"}])
    less = finding("a sends in cleartext", "a", state=[{"check": "steering.rule", "where": "a", "said": "none"}])
    assert rows(document(findings=[less]), document(findings=[more])) == {"changed": [("finding", "a")]}


def test_a_finding_is_fixed_only_if_what_it_was_about_holds() -> None:
    old = document(check("x", "fail"), findings=[finding("it leaks", "a", failed=("x",))])
    assert rows(old, document(check("x")))["fixed"] == [("finding", "a"), ("check", "x")]
    gone = rows(old, document(not_run=[{"id": "x", "params": {}, "profile": "core"}]))
    assert gone == {"disappeared": [("finding", "a"), ("check", "x")]}


def test_formats() -> None:
    said = "a|b <script> `x` *y*\nand more"
    comparison = compare(document(check("a[v4]")), document(check("a[v4]", "fail", message=said)))
    markdown = as_markdown(comparison)
    assert r"| check | a\[v4\] | pass | fail | a\|b \<script\> \`x\` \*y\* |" in markdown
    (row,) = json.loads(as_json(comparison))["regressed"]
    assert row == {
        "subject": "check",
        "name": "a[v4]",
        "before": "pass",
        "after": "fail",
        "why": "a|b <script> `x` *y*",
    }


def stored(path: Path, report: object) -> str:
    path.write_text(report if isinstance(report, str) else json.dumps(report), encoding="utf-8")
    return str(path)


def test_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = stored(tmp_path / "report.json", document(check("a"))), document(check("a", "fail"))
    worse = stored(tmp_path / "worse.json", bad)
    assert main(["compare", str(tmp_path), good]) == 0
    assert main(["compare", worse, good, "--format=json"]) == 0
    assert main(["compare", good, worse]) == 1
    assert "The later run is worse" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        ("{", "is no report: it is not JSON"),
        ("[]", "is no report: it has no field `schema`"),
        ({"schema": 1}, "has schema 1, and this version of pytest-ciliumwg reads 2: "),
        ({"schema": 2}, "is no whole report: the field `tool` is missing"),
        (document() | {"checks": [{"id": 7}]}, "a row is not as its schema says (KeyError: 'params')"),
        (document() | {"outcome": "fine"}, "a row is not as its schema says"),
        (document() | {"pairs": ["a"]}, "a row is not as its schema says"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], report: object, sentence: str
) -> None:
    good = stored(tmp_path / "good.json", document())
    assert main(["compare", good, stored(tmp_path / "bad.json", report)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("pytest-ciliumwg: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert main(["compare", good, str(tmp_path / "missing")]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["compare", good])
