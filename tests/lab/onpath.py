"""An adversary on the path, in the gateway between client and internet: `python -m lab.onpath SETTINGS`, until ended.

SETTINGS is JSON: the fields of scenario.Adversary, and `servers`, the addresses of its names. The gateway's kernel
routes what it forwards into a TUN device, so that this program sees every packet as it would be on a wire (segmented,
with checksums), and whatever it writes goes on to its destination. Each packet passes three routers: two of the
kernel's, and us.
"""

import fcntl
import heapq
import json
import os
import select
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from lab.network import CLIENT, CLIENT6, command

DEVICE = "path0"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
QUEUE_PACKETS = 10_000  # nothing is lost that the mode does not drop
FORGED_TTL = 47  # a box that stands nearer than the servers do, and starts from another value
FORGED_IP_ID = 0x4D4D
HANDSHAKE, CLIENT_HELLO = 0x16, 0x01
FORGED_ALERT = bytes.fromhex("15030300020228")  # fatal handshake_failure
FORGED_PAGE = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\nConnection: close\r\n\r\nblocked\n"
SERVFAIL = 2

Packet: TypeAlias = Any  # scapy's layers have no types
Sent: TypeAlias = tuple[float, Packet]  # delay in seconds


def pairs(delay_s: float, *packets: Packet) -> list[Sent]:
    return [(delay_s, packet) for packet in packets]


@dataclass(slots=True)
class Connection:
    """What is known of one TCP connection to a server of `servers`."""

    hit: bool = False  # the mode has struck
    down_bytes: int = 0  # payload from the server so far, retransmissions included


@dataclass(slots=True, kw_only=True)
class Adversary:
    mode: str
    names: tuple[str, ...]
    servers: tuple[str, ...]
    after_bytes: int = 0
    every: int = 0
    delay_s: float = 0.0
    answer: str = ""
    toward: str = ""
    connections: defaultdict[tuple[int, str], Connection] = field(default_factory=lambda: defaultdict(Connection))
    counted: int = 0

    def handle(self, data: bytes) -> Iterable[Sent]:
        """What becomes of a packet: what is sent on or forged, in order."""
        packet = IPv6(data) if data[0] >> 4 == 6 else IP(data)
        up = packet.src in (CLIENT, CLIENT6)
        if TCP in packet and (packet.dst if up else packet.src) in self.servers and self.mode in TCP_MODES:
            key = (packet[TCP].sport, packet.dst) if up else (packet[TCP].dport, packet.src)
            return TCP_MODES[self.mode](self, packet, up, self.connections[key])
        if UDP in packet and DNS in packet and self.mode in DNS_MODES and self.is_about(packet[DNS]):
            return DNS_MODES[self.mode](self, packet, up)
        return pairs(0, packet)

    def is_about(self, message: Packet) -> bool:
        return bool(message.qd) and message.qd[0].qname.decode().rstrip(".").lower() in self.names

    def names_it(self, packet: Packet) -> bool:
        """Whether this is a ClientHello (at least its first segment) with one of the names."""
        data = bytes(packet[TCP].payload)
        hello = len(data) > 5 and (data[0], data[5]) == (HANDSHAKE, CLIENT_HELLO)
        return hello and any(name.encode() in data for name in self.names)

    # -- TCP ---------------------------------------------------------------------------------------------------------

    def reset_syn(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        if up and packet[TCP].flags == "S":
            forged = segment(packet, back=True, flags="RA", seq=0, ack=packet[TCP].seq + 1)
            return pairs(0, forged, packet)
        return pairs(0, packet)

    def reset_hello(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        if not up or connection.hit or not self.names_it(packet):
            return pairs(0, packet)
        connection.hit = True
        end = packet[TCP].seq + len(packet[TCP].payload)
        to_client = segment(packet, back=True, flags="RA", seq=packet[TCP].ack, ack=end)
        return pairs(0, to_client, packet, segment(packet, back=False, flags="RA", seq=end, ack=packet[TCP].ack))

    def inject_answer(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        data = bytes(packet[TCP].payload)
        asked = data.startswith(b"GET ") and any(name.encode() in data for name in self.names)
        if not up or connection.hit or not (asked or self.names_it(packet)):
            return pairs(0, packet)
        connection.hit = True
        forged = segment(packet, back=True, flags="PA", seq=packet[TCP].ack, ack=packet[TCP].seq + len(data))
        forged[TCP].window = 65535
        return pairs(0, forged / (FORGED_PAGE if asked else FORGED_ALERT), packet)

    def drop_hello(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        connection.hit = connection.hit or (up and self.names_it(packet))
        return [] if connection.hit else pairs(0, packet)

    def drop_large(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        whole = IPv6 in packet or packet.flags.DF
        here = self.toward in ("", "server" if up else "client")
        return [] if here and whole and len(packet) > self.after_bytes else pairs(0, packet)

    def lose(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        if up or not packet[TCP].payload:
            return pairs(0, packet)
        self.counted += 1
        return [] if self.counted % self.every == 0 else pairs(0, packet)

    def stall(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        if not up:
            connection.down_bytes += len(packet[TCP].payload)
        return [] if connection.down_bytes > self.after_bytes else pairs(0, packet)

    def reset_transfer(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        if up or connection.hit:
            return pairs(0, packet)
        connection.down_bytes += len(packet[TCP].payload)
        if connection.down_bytes <= self.after_bytes:
            return pairs(0, packet)
        connection.hit = True
        seq, ack = packet[TCP].seq, packet[TCP].ack
        to_client = segment(packet, back=False, flags="RA", seq=seq, ack=ack)
        return pairs(0, to_client, packet, segment(packet, back=True, flags="RA", seq=ack, ack=seq))

    def cut_transfer(self, packet: Packet, up: bool, connection: Connection) -> list[Sent]:
        struck = connection.hit
        sent = self.reset_transfer(packet, up, connection)
        return [] if struck else [item for item in sent if not connection.hit or item[1] is not packet]

    # -- DNS over UDP ------------------------------------------------------------------------------------------------

    def inject(self, packet: Packet, up: bool) -> list[Sent]:
        forged = [reply(packet, self.answer)] if up and packet[DNS].qd[0].qtype == 1 else []
        return pairs(0, *forged, packet)

    def replace(self, packet: Packet, up: bool) -> list[Sent]:
        return pairs(0, reply(packet, self.answer) if up and packet[DNS].qd[0].qtype == 1 else packet)

    def fail(self, packet: Packet, up: bool) -> list[Sent]:
        return pairs(0, reply(packet, rcode=SERVFAIL) if up else packet)

    def truncate(self, packet: Packet, up: bool) -> list[Sent]:
        if up:
            return pairs(0, packet)
        message = packet[DNS]
        empty = DNS(id=message.id, qr=1, rd=1, ra=1, tc=1, qd=message.qd)
        return pairs(0, IP(src=packet.src, dst=packet.dst) / UDP(sport=53, dport=packet[UDP].dport) / empty)

    def slow(self, packet: Packet, up: bool) -> list[Sent]:
        return pairs(0.0 if up else self.delay_s, packet)


TCP_MODES: dict[str, Callable[[Adversary, Packet, bool, Connection], list[Sent]]] = {
    "reset-syn": Adversary.reset_syn,  # a forged reset answers the SYN, which passes all the same
    "reset-hello": Adversary.reset_hello,  # forged resets to both ends as soon as a ClientHello names it
    "inject-answer": Adversary.inject_answer,  # an answer to the ClientHello or GET, ahead of the server's
    "drop-hello": Adversary.drop_hello,  # nothing passes any more from a ClientHello on that names it
    "drop-large": Adversary.drop_large,  # packets over `after_bytes` vanish without ICMP, `toward` one end or both
    "lose": Adversary.lose,  # each `every`th segment with data from the server vanishes
    "stall": Adversary.stall,  # after `after_bytes` of the server nothing passes any more
    "reset-transfer": Adversary.reset_transfer,  # forged resets to both ends after `after_bytes` of the server
    "cut-transfer": Adversary.cut_transfer,  # the same, and nothing else passes any more
}
DNS_MODES: dict[str, Callable[[Adversary, Packet, bool], list[Sent]]] = {
    "dns-inject": Adversary.inject,  # a forged address ahead of the true answer
    "dns-replace": Adversary.replace,  # the forged address only
    "dns-fail": Adversary.fail,  # SERVFAIL
    "dns-truncate": Adversary.truncate,  # the answer says that it is cut: ask by TCP
    "dns-slow": Adversary.slow,  # answers come `delay_s` later
}
MODES = {**TCP_MODES, **DNS_MODES}


def segment(packet: Packet, *, back: bool, flags: str, seq: int, ack: int) -> Packet:
    """A forged segment of the conversation of `packet`, in its direction or back."""
    tcp = packet[TCP]
    source, target = (packet.dst, packet.src) if back else (packet.src, packet.dst)
    sport, dport = (tcp.dport, tcp.sport) if back else (tcp.sport, tcp.dport)
    forged = TCP(sport=sport, dport=dport, flags=flags, seq=seq & 0xFFFFFFFF, ack=ack & 0xFFFFFFFF, window=0)
    return network_layer(source, target) / forged


def network_layer(source: str, target: str) -> Packet:
    if ":" in source:
        return IPv6(src=source, dst=target, hlim=FORGED_TTL)
    return IP(src=source, dst=target, ttl=FORGED_TTL, id=FORGED_IP_ID)


def reply(packet: Packet, address: str = "", rcode: int = 0) -> Packet:
    """A forged answer to a query for an address."""
    query = packet[DNS]
    answers = [DNSRR(rrname=query.qd[0].qname, type="A", ttl=300, rdata=address)] if address else []
    message = DNS(id=query.id, qr=1, rd=query.rd, ra=1, rcode=rcode, qd=query.qd, an=answers)
    return network_layer(packet.dst, packet.src) / UDP(sport=53, dport=packet[UDP].sport) / message


def attach(*, ipv6: bool) -> int:
    """Create the device and send through it what the gateway forwards; returns its file descriptor."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    command("ip", "link", "set", DEVICE, "up", "txqueuelen", str(QUEUE_PACKETS))
    for family in ("-4", *["-6"] * ipv6):
        command("ip", family, "route", "add", "default", "dev", DEVICE, "table", "100")
        for interface in ("lan", "wan"):
            command("ip", family, "rule", "add", "iif", interface, "lookup", "100")
    command("sh", "-c", "for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$file; done")
    return tun


def main(settings: str) -> None:
    adversary = Adversary(**json.loads(settings))
    tun = attach(ipv6=any(":" in address for address in adversary.servers))
    waiting: list[tuple[float, int, bytes]] = []
    sent = 0
    ready = select.poll()
    ready.register(tun, select.POLLIN)
    print("on the path", flush=True)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            os.write(tun, heapq.heappop(waiting)[2])
        if not ready.poll((waiting[0][0] - now) * 1000 + 1 if waiting else None):
            continue
        for delay_s, packet in adversary.handle(os.read(tun, 65536)):
            sent += 1
            if delay_s:
                heapq.heappush(waiting, (now + delay_s, sent, bytes(packet)))
            else:
                os.write(tun, bytes(packet))


if __name__ == "__main__":
    main(sys.argv[1])
