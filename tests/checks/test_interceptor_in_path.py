"""interceptor-in-path: mitmproxy, untrusted and trusted; a proxy that only tunnels is none."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "interceptor-in-path:mitmproxy"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert found.title == "mitmproxy intercepts TLS to proxy.golang.org"
    told = [piece.text for piece in found.evidence]
    assert told[0].startswith("certificate for proxy.golang.org, issuer ")
    assert "it verifies under its own key although its issuer is another name" in told
    assert "its issuer, mitmproxy, is that of the product mitmproxy" in told
    assert found.detail.startswith(
        "A machine on the way answers in place of proxy.golang.org, with certificates issued"
    )
    assert "go refuses the connection" in found.detail
    assert kinds(found) == {"packet", "probe", "log"}
    assert found.remedy.text.startswith("Ask the network's operator")
    assert "-proxy proxy.corp.example:3128" in (found.remedy.command or "")
    assert {fires.whole.requests[number].handled_by for number in found.requests} == {"mitm"}
    assert {fires.whole.requests[number].claims_to_be for number in found.requests} == {"proxy.golang.org"}
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    """The same proxy address, where it only tunnels."""
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_trusted_one_is_a_warning(regression: Run) -> None:
    found = regression.only
    assert found.severity == "warning"
    assert "downloads work, and it can read and change them" in found.detail
    assert any("proxy.golang.org is a public host, yet only " in piece.text for piece in found.evidence)
    assert "GOSUMDB" in found.remedy.text
    assert regression.whole.verdict.status == "suspicious"
    assert len(found.requests) == len(regression.whole.requests)


def test_packets_alone_do_not_show_it(fires: Run, regression: Run) -> None:
    assert checks_of(fires.packets) == {"certificate-not-trusted"}
    assert checks_of(regression.packets) == set()
    for run in (fires, regression):
        assert "interceptor" in run.hidden["Certificates"]
        assert {request.handled_by for request in run.packets.requests} <= {"unknown", "none"}


def test_account_alone(fires: Run, regression: Run) -> None:
    assert checks_of(fires.account) == checks_of(regression.account) == {"interceptor-in-path"}
    assert fires.in_account.requests == fires.only.requests


def test_what_agrees_with_the_certificate_is_evidence_too(fires: Run) -> None:
    """The amount of certificates that TLS 1.3 hides; the packet is the ServerHello before them."""
    [(piece, frame)] = [
        (piece, frame)
        for piece, frame in zip(
            [item for item in fires.only.evidence if item.packet], fires.frames(fires.only), strict=True
        )
        if "is known to send at least" in piece.text
    ]
    assert piece.text.startswith("it sent 1,")
    assert frame.payload.startswith(b"\x16\x03\x03")
