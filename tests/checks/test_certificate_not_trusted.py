"""certificate-not-trusted: a self-signed certificate; an interceptor's has a finding of its own."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-not-trusted:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert found.title == "The certificate of proxy.golang.org is self-signed"
    assert found.detail.startswith("The server's certificate is self-signed and not in the trust store")
    assert kinds(found) == {"packet", "probe", "log"}
    assert found.remedy.command is not None
    assert found.remedy.command.startswith("openssl s_client -connect proxy.golang.org:443 ")
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_an_interceptor_is_left_to_its_own_check(regression: Run) -> None:
    assert checks_of(regression.whole) == {"interceptor-in-path"}
    assert checks_of(regression.account) == {"interceptor-in-path"}


def test_packets_alone_show_a_refusal_without_its_reason(fires: Run) -> None:
    """TLS 1.3: one encrypted record of 19 bytes where a Finished of 53 would stand."""
    found = fires.in_packets
    assert found.title == "go refused the certificate shown for proxy.golang.org"
    assert "why is not observable" in found.detail
    assert found.confidence == "medium"
    assert all(frame.payload[-24:-19] == bytes.fromhex("17 0303 0013") for frame in fires.frames(found))
    assert "TLS 1.3" in fires.hidden["Certificates"]


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
