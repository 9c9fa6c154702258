from __future__ import annotations

import contextlib
import io
import resource
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.server.errors import Refused
from bl_steer.server.uploads.file_types import MAX_COLUMNS, inspect_file
from bl_steer.server.uploads.uploads import clean_name

KIB = 1024
TABLE = "x,y,値\n1,2,3\n"


@pytest.fixture(scope="module")
def site(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("uploads")
    with site_module.running_site(folder, max_upload_mib=2, quota_mib=6) as running:
        running.user()
        yield running


@pytest.fixture(scope="module")
def browser(site: Any) -> Any:
    return site.browser()


def png(*shape: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros(shape, np.uint8)).save(file, "png")
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(edge: int = 87_000) -> bytes:
    """7.6 GB of zeros in a few hundred kilobytes, as a valid PNG."""
    packer = zlib.compressobj(9)
    row = b"\0" * (edge + 1)
    packed = b"".join(packer.compress(row) for _ in range(300)) + packer.flush()
    header = struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff_bomb(megabytes: int = 800) -> bytes:
    file = io.BytesIO()
    page = np.zeros((1000, 1000), np.uint8)
    with tifffile.TiffWriter(file) as writer:
        for _ in range(megabytes):
            writer.write(page, compression="zlib", contiguous=False)
    return file.getvalue()


def tiff_loop() -> bytes:
    entries = struct.pack("<HHII", 256, 4, 1, 10) + struct.pack("<HHII", 257, 4, 1, 10)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + entries + struct.pack("<I", 8)


def zip_of(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def nrrd(data: bytes, **fields: str) -> bytes:
    """A volume of 4 × 3 × 2 voxels of one byte, unless the header says otherwise."""
    known = {"type": "uint8", "dimension": "3", "sizes": "4 3 2", "encoding": "raw"} | fields
    return b"\n".join([b"NRRD0004", *(f"{k}: {v}".encode() for k, v in known.items()), b"", data])


HOSTILE = {
    "bomb.png": png_bomb,
    "bomb.tif": tiff_bomb,
    "loop.tif": tiff_loop,
    "short.tif": lambda: b"II*\0" + b"\xff" * 40,
    "bomb.csv": lambda: b",".join(b"1" for _ in range(300_000)) + b"\n",
    "long.csv": lambda: b"1" * (3 * KIB * KIB),
    "bomb.npz": lambda: zip_of(**{"a.npy": bytes(600 * KIB * KIB)}),
    "out.zip": lambda: zip_of(**{"../../evil": b"x"}),
    "pickle.npy": lambda: npy(np.array([{"a": 1}], dtype=object)),
    "short.npy": lambda: npy(np.zeros(1000))[:200],
    "empty.csv": lambda: b"",
    "program.exe": lambda: b"MZ\x90\0",
    "picture.csv": lambda: png(4, 4),
    "table.png": lambda: TABLE.encode(),
    "binary.csv": lambda: bytes(range(256)),
    "broken.png": lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "bomb.nrrd": lambda: nrrd(
        zlib.compress(bytes(64), wbits=31), encoding="gzip", sizes="900 900 900"
    ),
    "apart.nrrd": lambda: nrrd(b"", **{"data file": "/etc/passwd"}),
    "long.nrrd": lambda: nrrd(b"", comment="1" * (3 * KIB * KIB)),
    "empty.nrrd": lambda: b"NRRD0004\n\n",
    "negative.nrrd": lambda: nrrd(bytes(24), sizes="-4 3 2"),
    "flat.nrrd": lambda: nrrd(bytes(24), dimension="2"),
    "kind.nrrd": lambda: nrrd(bytes(24), type="block"),
    "broken.jpg": lambda: b"\xff\xd8\xff\xe0\0\x02" * 5,
}
SOUND = {
    "a.nrrd": lambda: nrrd(bytes(24)),
    "a.png": lambda: png(40, 30),
    "a.tif": lambda: tiff_bomb(3),
    "blank labels.tif": lambda: tiff_bomb(200),
    "a.npy": lambda: npy(np.zeros((3, 4, 5), np.uint8)),
    "a.npz": lambda: zip_of(**{"x.npy": npy(np.zeros(4))}),
    "volume.zarr.zip": lambda: zip_of(**{"zarr.json": b"{}", "c/0/0": b"xx"}),
    "utf8.csv": lambda: TABLE.encode(),
    "bom.csv": lambda: TABLE.encode("utf-8-sig"),
    "cp932.csv": lambda: TABLE.encode("cp932"),
    "BM.csv": lambda: b"BM,b\n1,2\n",
    "wide.csv": lambda: b",".join(b"1" for _ in range(MAX_COLUMNS)) + b"\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_good_is_refused_in_words_that_name_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "0.part"
    path.write_bytes(HOSTILE[name]())
    with pytest.raises(Refused, match=name.replace(".", r"\.")):
        inspect_file(path, name)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "0.part"
    path.write_bytes(SOUND[name]())
    assert inspect_file(path, name).decoded_bytes > 0


def test_jpeg_and_bigtiff_headers_are_read(tmp_path: Path) -> None:
    grey = np.zeros((50, 70), np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.jpg")
    tifffile.imwrite(
        tmp_path / "b.tif", np.zeros((3, 50, 70), np.uint16), bigtiff=True, photometric="minisblack"
    )
    assert inspect_file(tmp_path / "a.jpg", "a.jpg").decoded_bytes == 3500
    assert inspect_file(tmp_path / "b.tif", "b.tif").decoded_bytes == 21_000


def test_bombs_are_refused_in_little_memory_and_time(tmp_path: Path) -> None:
    """In a process of its own, which may take no more than 300 MB."""
    for name in ("bomb.png", "bomb.tif", "bomb.csv", "bomb.npz", "bomb.nrrd", "long.nrrd"):
        (tmp_path / name).write_bytes(HOSTILE[name]())
    code = (
        "import sys, time, pathlib\n"
        "from bl_steer.server.uploads.file_types import inspect_file\n"
        "from bl_steer.server.errors import Refused\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    began = time.process_time()\n"
        "    try:\n        inspect_file(path, path.name)\n"
        "    except Refused:\n        assert time.process_time() - began < 2, path\n"
        "    else:\n        raise SystemExit(f'{path} was taken')\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (300 * 10**6, 300 * 10**6))

    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, preexec_fn=limit, timeout=120
    )


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("C:\\data\\試料 1.tif", "試料 1.tif"),
        ("../../etc/passwd", "passwd"),
        ("..", "file"),
        ("", "file"),
        ("a\0b\r\n.csv", "ab.csv"),
        ("x" * 300 + ".tif", "x" * 196 + ".tif"),
    ],
)
def test_names_are_names(name: str, clean: str) -> None:
    assert clean_name(name) == clean


def test_several_files_come_in_at_once_with_their_japanese_names(site: Any, browser: Any) -> None:
    names = ["試料1_断面.csv", "表.csv"]
    answer = browser.upload(*((name, TABLE.encode("cp932")) for name in names), sample="試料1")
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"]).text
    listed = browser.get("/files").text
    for name, upload_id in zip(names, answer.headers["location"].split("file=")[1:], strict=True):
        assert name in page
        assert name in listed
        sent = browser.get(f"/files/{upload_id.rstrip('&')}")
        assert sent.content == TABLE.encode("cp932")
        said = sent.headers["content-disposition"]
        assert unquote(said.rpartition("''")[2]) == name
        assert said.isascii()
    assert "試料1" in listed
    assert not list(site.context.arrivals.iterdir())


def test_a_name_in_cp932_as_old_programs_send_it_is_read(browser: Any) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' + browser.csrf_token.encode()
    )
    body += b'\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="'
    body += "試料.csv".encode("cp932") + b'"\r\n\r\nx,y,v\n1,2,3\n\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert browser.client.post("/files", content=body, headers=headers).status_code == 303
    assert browser.get("/api/v1/files").json()[0]["file_name"] == "試料.csv"


def test_a_bad_file_among_good_ones_is_named_in_the_users_language(browser: Any) -> None:
    files = [("good.csv", TABLE.encode()), ("悪い.exe", b"MZ\x90\0")]
    answer = browser.client.post(
        "/files",
        data={"csrf": browser.csrf_token},
        files=[("files", one) for one in files],
        headers={"Accept-Language": "ja"},
    )
    assert answer.status_code == 415
    assert "悪い.exe は対応していない形式" in answer.text
    assert "受け付けたファイル：good.csv。" in answer.text
    upload_id = browser.get("/api/v1/files").json()[0]["id"]
    assert f'href="/analyses?file={upload_id}"' in answer.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("map.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        ("with a password.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        ("text.xls", TABLE.encode()),
        ("binary.xlsb", b"PK\3\4" + bytes(60)),
    ],
)
def test_a_workbook_of_a_kind_that_is_not_read_is_refused_with_how_to_save_it(
    browser: Any, name: str, content: bytes
) -> None:
    for language, told in (("en", "Save it as Excel Workbook (.xlsx)"), ("ja", "保存し直して")):
        asked = {"Accept-Language": language}
        sent = browser.post("/files", files=[("files", (name, content))], headers=asked)
        assert sent.status_code == 415
        assert told in sent.text


def test_whether_files_may_train_is_as_the_policy_and_the_user_say(browser: Any) -> None:
    files = [("files", ("t.csv", TABLE.encode()))]
    for data, expected in (({}, False), ({"may_train": ""}, False), ({"may_train": "1"}, True)):
        upload = browser.post("/files", data, files=files)
        assert upload.status_code == 303
        assert browser.get("/api/v1/files").json()[0]["may_train"] is expected
    upload_id = upload.headers["location"].partition("file=")[2]
    browser.post(f"/files/{upload_id}/training", {"may_train": ""})
    assert browser.get("/api/v1/files").json()[0]["may_train"] is False


def test_a_deleted_file_is_gone(browser: Any) -> None:
    location = browser.upload(("gone.csv", TABLE.encode())).headers["location"]
    upload_id = location.partition("file=")[2]
    assert browser.post(f"/files/{upload_id}/delete").status_code == 303
    assert browser.get(f"/files/{upload_id}").status_code == 404
    assert browser.post("/analyses/advise", {"file": upload_id}).status_code == 404


def send_slowly(
    site: Any, request: str, *, piece: int = 8 * KIB, most: int = 10**9
) -> tuple[int, int]:
    """Send a body piece by piece until the server answers; return status and bytes sent."""
    place = urlsplit(site.address)
    with socket.create_connection((place.hostname, place.port), timeout=120) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        connection.setblocking(False)
        sent, answer, began = 0, b"", time.monotonic()
        block = b"x" * piece
        if "chunked" in request:
            block = f"{piece:x}\r\n".encode() + block + b"\r\n"
        while not answer and sent < most and time.monotonic() - began < 30:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sent += connection.send(block)
            time.sleep(0.02)
            try:
                answer = connection.recv(4096)
            except BlockingIOError:
                continue
            except ConnectionError:
                break
    return int(answer.split(b" ")[1]) if answer else 0, sent


@pytest.mark.parametrize("path", ["/files", "/api/v1/files?file_name=a.csv", "/packages"])
@pytest.mark.parametrize("length", ["Content-Length: 600000000", "Transfer-Encoding: chunked"])
def test_a_strangers_upload_is_refused_after_64_kib_at_most(
    site: Any, path: str, length: str
) -> None:
    request = f"POST {path} HTTP/1.1\nHost: x\n{length}\n"
    request += "Content-Type: multipart/form-data; boundary=b\n\n"
    status, sent = send_slowly(site, request)
    assert status == 401
    assert sent <= 64 * KIB + 100  # the frames of the pieces


def test_an_upload_over_the_quota_is_refused_before_its_body(site: Any) -> None:
    user = site.user("big@example.org")
    request = "POST /api/v1/files?file_name=a.csv HTTP/1.1\nHost: x\nContent-Length: 600000000\n"
    status, sent = send_slowly(site, f"{request}Authorization: Bearer {site.key(user)}\n\n")
    assert status == 413
    assert sent <= 64 * KIB


def test_a_file_over_the_limit_is_refused_as_it_comes_and_not_kept(site: Any) -> None:
    program = site.program(site.user("stream@example.org"))

    def pieces() -> Iterator[bytes]:
        for _ in range(3 * 1024):
            yield b"1" * (KIB - 1) + b"\n"

    answer = program.post("/api/v1/files?file_name=a.csv", content=pieces())
    assert answer.status_code == 413
    assert "2 MiB" in answer.json()["message"]
    assert not list(site.context.arrivals.iterdir())
