"""TLS of a flow, certificates, and how their chains were judged."""

from collections.abc import Iterable

import msgspec

from trace_go.model import chain, tls
from trace_go.model.evidence import number_in_file


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    sha256: str
    subject: str
    issuer: str
    names: list[str]
    not_before: str | None
    not_after: str | None
    serial: str
    key: str
    signature: str
    problem: str | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    level: int
    description: int
    from_client: bool
    packet: int


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    sni: str | None
    alpn_offered: list[str]
    alpn: str | None
    versions_offered: list[str]
    version: str | None
    cipher: str | None
    groups: list[str]
    client_random: str
    ja3: str | None
    ja4: str | None
    client: str
    state: str
    state_visibility: str
    hello_retry: bool
    chain_visibility: str
    certificates: list[Certificate]
    alerts: list[Alert]
    hello_packet: int
    problem: str | None
    opening: str
    """what key logs did for it: `opened`, `no keys`, `wrong keys`, …"""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    flow: int | None
    visibility: str
    trusted: bool
    fault: str | None
    detail: str
    part: str | None
    trust: str
    interceptor: str | None
    interceptor_why: list[str]
    interceptor_confidence: str | None
    public_trusted: bool | None
    disorder: list[str]
    weak: list[str]
    certificates: list[Certificate]


def of_tls(x: tls.TlsSession) -> Tls:
    hello, server = x.hello, x.server
    return Tls(
        sni=hello.sni if hello else None,
        alpn_offered=list(hello.alpn) if hello else [],
        alpn=server.alpn if server else None,
        versions_offered=_hex(hello.versions) if hello else [],
        version=f"0x{x.version:04x}" if x.version else None,
        cipher=f"0x{server.cipher_suite:04x}" if server else None,
        groups=_hex(hello.groups) if hello else [],
        client_random=x.client_random.hex(),
        ja3=hello.ja3 if hello else None,
        ja4=hello.ja4 if hello else None,
        client=x.client,
        state=x.state,
        state_visibility=x.refusal_visibility,
        hello_retry=x.hello_retry,
        chain_visibility=x.chain_visibility,
        certificates=[of_certificate(item) for item in x.chain],
        alerts=[
            Alert(level=a.level, description=a.description, from_client=a.from_client, packet=number_in_file(a.packet))
            for a in x.alerts
        ],
        hello_packet=number_in_file(x.hello_packet),
        problem=x.problem,
        opening=x.opening,
    )


def of_certificate(x: tls.Certificate) -> Certificate:
    return Certificate(
        sha256=x.sha256,
        subject=x.subject,
        issuer=x.issuer,
        names=list(x.names),
        not_before=x.not_before.isoformat() if x.not_before else None,
        not_after=x.not_after.isoformat() if x.not_after else None,
        serial=x.serial,
        key=x.key,
        signature=x.signature,
        problem=x.problem,
    )


def of_chain(x: chain.Judgement) -> Chain:
    return Chain(
        name=x.name,
        flow=x.flow,
        visibility=x.visibility,
        trusted=x.trusted,
        fault=x.fault,
        detail=x.detail,
        part=x.part,
        trust=x.trust,
        interceptor=x.interceptor,
        interceptor_why=list(x.interceptor_why),
        interceptor_confidence=x.interceptor_confidence,
        public_trusted=x.public_trusted,
        disorder=list(x.disorder),
        weak=list(x.weak),
        certificates=[of_certificate(item) for item in x.chain],
    )


def _hex(numbers: Iterable[int]) -> list[str]:
    return [f"0x{number:04x}" for number in numbers]
