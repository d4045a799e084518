"""An archive is somebody else's: read as a stream, and refused where it climbs out or grows without bounds."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.offline import archive
from pytest_ciliumwg.providers.offline.archive import Input, climbs


def everything(path: Path) -> tuple[dict[str, str], list[str]]:
    opened = Input(path)
    return {file.name: file.text() for file in opened.files(lambda _: True)}, opened.problems


def packed(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in files.items():
                made.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["dump.zip", "dump.tar.gz", "dump.tgz"])
def test_an_archive_and_one_within_it(tmp_path: Path, name: str) -> None:
    inner = packed(tmp_path / "inner.tar.gz", {"cmd/ip-a.md": b"inner"}).read_bytes()
    path = packed(tmp_path / name, {"dump/nodes.yaml": b"outer", "dump/bugtool.tar.gz": inner})
    assert everything(path) == ({"dump/nodes.yaml": "outer", "cmd/ip-a.md": "inner"}, [])


def test_a_folder_with_an_archive_and_a_link_that_leads_out(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "nodes.yaml").write_text("plain")
    packed(folder / "more.zip", {"pods.yaml": b"packed"})
    assert everything(folder) == ({"nodes.yaml": "plain", "pods.yaml": "packed"}, [])


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "C:\\x", "..\\x"])
def test_a_path_that_climbs_out_is_left_out(tmp_path: Path, name: str) -> None:
    assert climbs(name)
    for kind in ("dump.zip", "dump.tar.gz"):
        found, (problem,) = everything(packed(tmp_path / kind, {name: b"bad", "good.yaml": b"good"}))
        assert found == {"good.yaml": "good"}
        assert "leads out of the archive" in problem


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "dump.zip", {"a.yaml": b"good", "b.yaml": bytes(64 << 20)})
    found, (problem,) = everything(path)
    assert found == {"a.yaml": "good"}
    assert problem.startswith("dump.zip would grow to 67108868 bytes when it is unpacked, by 'b.yaml'")


def test_a_tar_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    _, (problem,) = everything(packed(tmp_path / "dump.tar.gz", {"a.yaml": b"good", "b.yaml": bytes(2 << 20)}))
    assert problem.startswith("dump.tar.gz grows to more than 1048576 bytes when it is unpacked")


def test_an_archive_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    files = {f"{number}.yaml": bytes(range(256)) * 40 for number in range(200)}
    for kind in ("dump.zip", "dump.tar.gz"):
        path = packed(tmp_path / kind, files)
        path.write_bytes(path.read_bytes()[:-900])
        found, (problem,) = everything(path)
        assert problem.startswith(f"{kind} is cut off or damaged (")
        assert 100 < len(found) <= 200
        assert all(text == files[name].decode("utf-8", "replace") for name, text in list(found.items())[:-1])


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (8, b"\1", "dump.zip is protected by a password; unpack it"),
        (10, b"\x5d", "dump.zip is packed in an uncommon way"),
    ],
    ids=["password", "zstandard"],
)
def test_a_zip_that_has_to_be_unpacked_first(tmp_path: Path, at: int, value: bytes, says: str) -> None:
    path = packed(tmp_path / "dump.zip", {"nodes.yaml": b"x"})
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\1\2")
    data[directory + at : directory + at + 1] = value
    path.write_bytes(data)
    found, (problem,) = everything(path)
    assert found == {}
    assert problem.startswith(says)


def test_a_zip_with_the_paths_of_windows(tmp_path: Path) -> None:
    path = packed(tmp_path / "dump.zip", {"dump\\cmd\\ip-a.md": b"x"})
    assert everything(path) == ({"dump/cmd/ip-a.md": "x"}, [])


def test_what_only_claims_to_be_an_archive(tmp_path: Path) -> None:
    for kind in ("dump.zip", "dump.tar.gz"):
        (tmp_path / kind).write_text("no archive")
        found, (problem,) = everything(tmp_path / kind)
        assert not found
        assert problem.startswith(f"{kind} is cut off or damaged (")
