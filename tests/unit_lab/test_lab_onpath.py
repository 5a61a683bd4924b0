"""What the adversary on the path does to each packet."""

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP

from lab import onpath, scenario
from lab.network import CLIENT, RESOLVER

SERVER, NAME = "203.0.113.10", "proxy.golang.org"
HELLO = b"\x16\x03\x01\x00\x50\x01" + bytes(40) + NAME.encode() + bytes(20)


def adversary(mode: str, **settings: object) -> onpath.Adversary:
    return onpath.Adversary(mode=mode, names=(NAME,), servers=(SERVER,), **settings)  # type: ignore[arg-type]  # a table


def up(payload: bytes = b"", flags: str = "A", seq: int = 100) -> onpath.Packet:
    return IP(src=CLIENT, dst=SERVER, flags="DF") / TCP(sport=4000, dport=443, flags=flags, seq=seq, ack=900) / payload


def down(payload: bytes = b"", flags: str = "A") -> onpath.Packet:
    return IP(src=SERVER, dst=CLIENT, flags="DF") / TCP(sport=443, dport=4000, flags=flags, seq=900, ack=100) / payload


def sent(one: onpath.Adversary, packet: onpath.Packet) -> list[onpath.Packet]:
    return [item for _, item in one.handle(bytes(packet))]


def flags(packets: list[onpath.Packet]) -> list[str]:
    return [f"{'up' if item.src == CLIENT else 'down'} {item[TCP].flags}" for item in packets]


def test_resets() -> None:
    assert flags(sent(adversary("reset-syn"), up(flags="S"))) == ["down RA", "up S"]
    one = adversary("reset-hello")
    assert flags(sent(one, up(b"GET"))) == ["up A"]
    forged, hello, other = sent(one, up(HELLO))
    assert (forged.ttl, forged[TCP].seq, forged[TCP].ack) == (onpath.FORGED_TTL, 900, 100 + len(HELLO))
    assert (hello.ttl, other[TCP].seq, other[TCP].flags) == (64, 100 + len(HELLO), "RA")
    assert flags(sent(one, up(HELLO))) == ["up A"]  # once for each connection


def test_resets_and_silence_in_a_transfer() -> None:
    for mode, then in (("reset-transfer", ["down RA", "down A", "up RA"]), ("cut-transfer", ["down RA", "up RA"])):
        one = adversary(mode, after_bytes=100)
        assert flags(sent(one, down(bytes(100)))) == ["down A"]
        assert flags(sent(one, down(bytes(1)))) == then
        assert flags(sent(one, down(bytes(1)))) == (["down A"] if mode == "reset-transfer" else [])
    one = adversary("stall", after_bytes=100)
    assert [len(sent(one, packet)) for packet in (down(bytes(100)), up(), down(b"x"), up())] == [1, 1, 0, 0]


@pytest.mark.parametrize(("toward", "passes"), [("", (0, 0)), ("client", (1, 0)), ("server", (0, 1))])
def test_large_packets(toward: str, passes: tuple[int, int]) -> None:
    one = adversary("drop-large", after_bytes=1000, toward=toward)
    assert (len(sent(one, up(bytes(990)))), len(sent(one, down(bytes(990))))) == passes
    assert len(sent(one, up(bytes(900)))) == len(sent(one, down(bytes(900)))) == 1


def test_silence_and_loss() -> None:
    one = adversary("drop-hello")
    assert [len(sent(one, packet)) for packet in (up(flags="S"), up(HELLO), down())] == [1, 0, 0]
    one = adversary("lose", every=3)
    assert [len(sent(one, down(b"x"))) for _ in range(6)] == [1, 1, 0, 1, 1, 0]
    assert sent(one, down())


def query(kind: str = "A", name: str = NAME) -> onpath.Packet:
    return IP(src=CLIENT, dst=RESOLVER) / UDP(sport=5000, dport=53) / DNS(id=7, rd=1, qd=DNSQR(qname=name, qtype=kind))


def test_dns() -> None:
    forged, true = sent(adversary("dns-inject", answer="192.0.2.9"), query())
    assert (forged[DNS].id, forged[DNS].an[0].rdata, forged.dst, true.dst) == (7, "192.0.2.9", CLIENT, RESOLVER)
    assert len(sent(adversary("dns-replace", answer="192.0.2.9"), query())) == 1
    assert sent(adversary("dns-replace", answer="192.0.2.9"), query("AAAA"))[0].dst == RESOLVER
    assert sent(adversary("dns-fail"), query())[0][DNS].rcode == 2
    assert sent(adversary("dns-fail"), query(name="other.example"))[0].dst == RESOLVER
    answer = IP(src=RESOLVER, dst=CLIENT) / UDP(sport=53, dport=5000) / DNS(id=7, qr=1, qd=DNSQR(qname=NAME))
    assert sent(adversary("dns-truncate"), answer)[0][DNS].tc == 1
    assert [delay for delay, _ in adversary("dns-slow", delay_s=2.0).handle(bytes(answer))] == [2.0]


def test_every_scenario_names_a_mode_that_there_is() -> None:
    for name in scenario.names():
        loaded = scenario.load(name)
        assert loaded.adversary.mode in ("", *onpath.MODES)
        assert set(loaded.adversary.names) <= loaded.hosts.keys()
