from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit

HALF_OPEN = 400
HEADERS = b"POST /files HTTP/1.1\r\nHost: x\r\n"
SIGN_IN = (
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 50\r\n\r\nemail="
)
BEGINNINGS = (b"", b"POST /si", HEADERS, SIGN_IN)


def test_requests_that_stall_keep_nobody_waiting_and_are_closed(site: Any) -> None:
    place = urlsplit(site.address)
    opened = []
    began = time.monotonic()
    for count in range(HALF_OPEN):
        one = socket.create_connection((place.hostname, place.port), timeout=60)
        one.sendall(BEGINNINGS[count % len(BEGINNINGS)])
        opened.append(one)
    visitors = [site.stranger() for _ in range(5)]  # a client's own making takes long: not timed
    waits = []
    for visitor in visitors:
        asked = time.monotonic()
        assert visitor.get("/sign-in").status_code == 200
        waits.append(time.monotonic() - asked)
    assert max(waits) < 8.0, waits
    for one in opened:
        one.settimeout(max(0.1, began + 90.0 - time.monotonic()))
        while one.recv(4096):  # an answer, or nothing; then the end
            pass
        one.close()
    assert time.monotonic() - began < 90.0
