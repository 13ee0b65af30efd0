"""An HTTP/3 server that answers every request with a few bytes.

usage: h3_server.py ADDRESS PORT CERTIFICATE KEY
"""

import asyncio
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated

BODY = b"<!doctype html><title>ok</title><p>ok\n"


class Answer(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._http = None

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for http_event in self._http.handle_event(event):
            if isinstance(http_event, HeadersReceived):
                self._answer(http_event.stream_id)

    def _answer(self, stream_id):
        headers = [
            (b":status", b"200"),
            (b"content-type", b"text/html"),
            (b"content-length", str(len(BODY)).encode()),
        ]
        self._http.send_headers(stream_id, headers)
        self._http.send_data(stream_id, BODY, end_stream=True)
        self.transmit()


async def main(address, port, certificate, key):
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
    configuration.load_cert_chain(certificate, key)
    await serve(address, int(port), configuration=configuration, create_protocol=Answer)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:5]))
