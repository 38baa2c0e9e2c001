"""A path for a page's audio that a test can cut: the packets are really lost, and nobody is told."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

#: The page sends its audio where ``offhookRelay`` says, and tells the server no address of its own to go around it.
DETOUR = """
  const accept = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = async function ({ type, sdp }) {
    const port = /a=candidate:\\S+ 1 udp \\d+ 127\\.0\\.0\\.1 (\\d+)/.exec(sdp)[1];
    const detour = await window.offhookRelay(Number(port));
    return accept.call(this, { type, sdp: sdp.replace(`127.0.0.1 ${port} `, `127.0.0.1 ${detour} `) });
  };
  Object.defineProperty(RTCPeerConnection.prototype, "onicecandidate", { set() {} });
"""


class CuttablePath:
    """Relays datagrams between a page and the server; ``cut`` loses all of the connections there are so far."""

    def __init__(self) -> None:
        #: Where a socket's datagrams go: (socket to send from, address or None before the page has sent).
        self._pairs: list[list[socket.socket]] = []
        self._server: dict[socket.socket, int] = {}
        self._page: dict[socket.socket, tuple[str, int]] = {}
        self._lock = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def guide(self, page: Page) -> None:
        """Send the audio of a page this way; call it before the page is opened."""
        page.expose_function("offhookRelay", self._relay)
        page.add_init_script(DETOUR)

    def cut(self) -> None:
        """Lose every packet of the present connections, for ever."""
        with self._lock:
            self._pairs.clear()

    def close(self) -> None:
        self._open = False
        self._thread.join()

    def _relay(self, port: int) -> int:
        """A port for the page that leads to the server's ``port``."""
        front, back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for end in (front, back):
            end.bind(("127.0.0.1", 0))
        with self._lock:
            self._server[back] = port
            self._pairs.append([front, back])
        number: int = front.getsockname()[1]
        return number

    def _run(self) -> None:
        while self._open:
            with self._lock:
                pairs = list(self._pairs)
            ready, _, _ = select.select([end for pair in pairs for end in pair], [], [], 0.02)
            for front, back in pairs:
                if front in ready:
                    data, self._page[front] = front.recvfrom(2048)
                    back.sendto(data, ("127.0.0.1", self._server[back]))
                if back in ready:
                    data = back.recv(2048)
                    if front in self._page:
                        front.sendto(data, self._page[front])
        for back in self._server:
            back.close()
        for front in self._page:
            front.close()


@contextmanager
def open_cuttable_path() -> Iterator[CuttablePath]:
    path = CuttablePath()
    try:
        yield path
    finally:
        path.close()
