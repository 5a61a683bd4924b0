"""authority-mismatch: a tunnel for another name than TLS's; a proxy that leads elsewhere; Host against SNI."""

from typing import Any

import pytest
from msgspec.structs import replace

from checks import cases
from checks.conftest import Run, kinds
from paths.made import Net, certificate, exchange
from trace_go.checks.catalogue.authority_mismatch import find
from trace_go.model.finding import Finding
from trace_go.model.flow import Flow

ASKED = "proxy.golang.org"


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "authority-mismatch:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert (
        found.title == "The request to the proxy names front.corp.example, but the TLS handshake names proxy.golang.org"
    )
    assert {"packet", "log"} <= kinds(found)
    tunnel, hello = fires.frames(found)[:2]
    assert tunnel.payload.startswith(b"CONNECT front.corp.example:443 ")
    assert b"proxy.golang.org" in hello.payload
    assert fires.whole.verdict.status == "suspicious"
    assert fires.whole.verdict.causes == [found.key]
    assert len(found.requests) == len(fires.whole.requests)


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title


def test_silent(silent: Run) -> None:
    """The same agent, where it passes names on."""
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_another_server_than_the_one_that_was_asked_for(regression: Run) -> None:
    assert regression.found == []
    assert regression.whole.verdict.causes == ["certificate-wrong-name:proxy.golang.org"]


def told(net: Net) -> list[Finding]:
    return list(find(replace(cases.case(), flows=net.traffic.flows, requests=())))


@pytest.mark.parametrize("authority", ["192.0.2.9", "[2001:db8::9]", "PROXY.golang.org.", ASKED])
def test_an_address_and_another_spelling_are_no_other_name(authority: str) -> None:
    assert told(tunnelled(authority)) == []


def test_socks_names_count_too() -> None:
    [found] = told(tunnelled("front.example", protocol="socks5"))
    assert found.title.startswith("The request to the proxy names front.example,")


def test_an_encrypted_hello_shows_another_name_on_purpose() -> None:
    net = tunnelled("front.example")
    flow = net.flows[0]
    assert flow.tls
    assert flow.tls.hello
    hidden = replace(flow.tls.hello, extension_types=(0, 0xFE0D))
    net.flows[0] = replace(flow, tls=replace(flow.tls, hello=hidden))
    assert told(net) == []


def test_another_programs_connections_are_its_own() -> None:
    assert told(tunnelled("front.example", client="")) == []


@pytest.mark.parametrize(
    ("host", "fires"),
    [
        ("other.example", True),
        ("other.example:443", True),
        (ASKED, False),
        ("b.golang.org", False),
        ("192.0.2.9", False),
    ],
)
def test_host_against_sni(host: str, *, fires: bool) -> None:
    """A certificate for *.golang.org allows one connection for all of these names."""
    leaf = replace(certificate(), names=(ASKED, "*.golang.org"))
    net = Net()
    asked = exchange(f"https://{host}/x/@v/list", decrypted=True)
    net.flow(chain=(leaf,), exchanges=(asked,), tls=True)
    titles = [found.title for found in told(net)]
    assert titles == (
        ["The HTTP requests name other.example, but the TLS handshake names proxy.golang.org"] if fires else []
    )


def test_without_the_certificate_it_cannot_be_said() -> None:
    net = Net()
    net.flow(exchanges=(exchange("https://other.example/x", decrypted=True),), tls=True)
    assert told(net) == []


def tunnelled(authority: str, *, protocol: str = "http", **changes: Any) -> Net:
    net = Net()
    flow: Flow = net.through_proxy(tls=True, **changes)
    assert flow.tunnel
    net.flows[0] = replace(
        flow, tunnel=replace(flow.tunnel, authority=f"{authority}:443", protocol=protocol, user_agent=None)
    )
    return net
