from __future__ import annotations

import pytest

from pytest_ciliumwg.expect import DEFAULT_VERSION, known_version, parse_version
from pytest_ciliumwg.expect.versions import NEWEST_PATCH, Version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.13", Version(1, 13, NEWEST_PATCH)),
        ("v1.15.0-pre.3", Version(1, 15, 0)),
        ("1.13.0-rc3", Version(1, 13, 0)),
        ("1.20.3", Version(1, 20, 3)),
        (" v1.20.3\n", Version(1, 20, 3)),
        ("1.15.0-pre.3+gabc-dirty", Version(1, 15, 0)),
        ("1.16.5-eksbuild.1", Version(1, 16, 5)),
        ("v1.12.7-anthos1.13.42-m17", Version(1, 12, 7)),
        ("1.14.4_distribution.2", Version(1, 14, 4)),
        ("1.13.9.gke1", Version(1, 13, 9)),
    ],
)
def test_reads_every_spelling(text: str, version: Version) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "1", "latest", "1.x", "1.13.", "1.13.4.5", "-1.13", "1.13 or so", "\u0661.13"])
def test_refuses_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Cilium version"):
        parse_version(text)


@pytest.mark.parametrize("text", ["1.9.18", "1.22", "1.22.0-pre.0", "2.0", "0.15"])
def test_refuses_what_no_fact_is_known_of(text: str) -> None:
    with pytest.raises(ValueError, match=r"out of the known range: .* 1\.10 to 1\.21"):
        known_version(text)


@pytest.mark.parametrize("text", ["1.10", "1.10.0-rc0", "1.21", "1.21.0-pre.0", "1.21.40", DEFAULT_VERSION])
def test_knows_both_ends_of_the_range(text: str) -> None:
    known_version(text)


def test_a_minor_version_is_newer_than_all_its_patches() -> None:
    assert parse_version("1.13.17") < parse_version("1.13") < parse_version("1.14.0-rc.0")


def test_versions_print_as_they_are_written() -> None:
    assert [str(parse_version(text)) for text in ("1.13", "v1.13.4")] == ["1.13", "1.13.4"]
