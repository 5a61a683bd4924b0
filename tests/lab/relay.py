"""A transparent proxy of fake addresses, as local proxy clients run it: `python -m lab.relay PORT JSON`.

It accepts what the gateway redirects to PORT, and passes the bytes on to the address that JSON (fake address: real one)
has for where the client wanted to go.
"""

import asyncio
import json
import socket
import struct
import sys

SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wanted = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, fake = struct.unpack("!2xH4s8x", wanted)
    real = json.loads(sys.argv[2])[socket.inet_ntoa(fake)]
    onward_reader, onward = await asyncio.open_connection(real, port)
    await asyncio.gather(copy(reader, onward), copy(onward_reader, writer), return_exceptions=True)
    writer.close()
    onward.close()


async def main() -> None:
    server = await asyncio.start_server(relay, "0.0.0.0", int(sys.argv[1]))  # the gateway's own namespace
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
