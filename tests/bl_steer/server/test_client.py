from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bl_steer.server.client import Client, ServerError

TABLE = b"x,y\n1,2\n"


class BreaksOff(BaseHTTPRequestHandler):
    """A server that is gone in the middle of a file."""

    def do_GET(self) -> None:
        job = {"id": "1", "outputs": [{"name": "points.csv"}]}
        body = TABLE if "outputs" in self.path else json.dumps(job).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + 100 * ("outputs" in self.path)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing to the screen."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_broken_download_is_an_error_and_leaves_no_part_of_a_file(
    address: str, tmp_path: Path
) -> None:
    with Client(address, "bls_key") as client, pytest.raises(ServerError, match="no answer from"):
        client.download("1", tmp_path / "result")
    assert not (tmp_path / "result").exists()


def test_a_broken_download_keeps_the_file_of_an_earlier_one(address: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_bytes(b"earlier")
    with Client(address, "bls_key") as client, pytest.raises(ServerError):
        client.download("1", tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]
