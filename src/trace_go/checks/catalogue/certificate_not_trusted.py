"""A server's certificate is not trusted.

What it means
    The chain that the server sent does not lead to any authority in the trust store that go uses.

Why it matters
    go refuses the connection: `x509: certificate signed by unknown authority`. Either the server's authority is
    private and missing from the trust store, or somebody answers in the server's place.

How we know
    The chain on the wire (up to TLS 1.2) or from a probe, verified at packet time against the chosen trust store;
    go's error line. In TLS 1.3 without keys the refusal itself is inferred from record sizes and the reason is not
    observable.

False positives
    Read a user's capture with `--trust` set to that user's bundle: against another machine's store a private
    authority is always unknown.

What to do
    If the server is yours, install its authority in the system's trust store, or point SSL_CERT_FILE at a bundle with
    it (SSL_CERT_FILE replaces the system's bundle on Linux). If it is a public host, find out who answers in its
    place.

References
    crypto/x509 (Verify), crypto/x509/root_linux.go, RFC 5280 §6.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, intercepted, sentence, target
from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=36)


def find(case: Case) -> Iterator[Finding]:
    judged: dict[str, Judgement] = {item.name: item for item in case.judgements}
    for host, requests in failed(case, "unknown-authority", "certificate-rejected", "other-certificate").items():
        rest = [item for item in requests if not intercepted(item)]  # the interceptor's own finding tells more
        judgement = judged.get(target(rest[0])) if rest else None
        if not rest or (judgement and judgement.fault is ChainFault.INCOMPLETE):
            continue
        failure, hidden = rest[0].failure, rest[0].failure and rest[0].failure.kind == "certificate-rejected"
        assert failure
        title = (
            f"go refused the certificate shown for {host}" if hidden else f"The certificate of {host} is not trusted"
        )
        yield finding(
            "certificate-not-trusted",
            META,
            title=title,
            detail=f"{sentence(judgement.detail if judgement and not judgement.trusted else failure.text)} "
            f"{count(len(rest), 'request')} failed.",
            remedy=Remedy(
                text="Look at the chain; if its authority is your own, add it to the trust store that go uses.",
                command=f"openssl s_client -connect {target(rest[0])}:443 -showcerts </dev/null",
            ),
            subject=host,
            requests=rest,
        )
