"""The ssh host key of a git server was not accepted.

What it means
    git reached the server over ssh, and ssh refused to go on: it knows no key for this host, or another one.

Why it matters
    An unknown key is normal on a new machine or CI runner. A key that has changed is what an interceptor of ssh looks
    like; servers change their keys rarely and announce it.

How we know
    What ssh said, which go quotes. The key itself is not in the packets: ssh encrypts its exchange.

False positives
    A server that was set up anew, or several servers behind one name with keys of their own.

What to do
    Get the key's fingerprint from the server's operator by another way, compare it with what the command of the finding
    shows, and only then put the key into ~/.ssh/known_hosts. Do not switch StrictHostKeyChecking off.

References
    ssh(1) (Verifying host keys), RFC 4251 §4.1; GitHub, GitLab and others publish their fingerprints.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=51)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "ssh-host-changed", "ssh-host-unknown").items():
        first = requests[0]
        changed = any(item.failure and item.failure.kind == "ssh-host-changed" for item in requests)
        yield finding(
            case,
            "ssh-host-key-rejected",
            META,
            title=f"{host} shows another ssh host key than the one that is known here"
            if changed
            else f"The ssh host key of {host} is not known here",
            detail=f"ssh ended {count(len(requests), 'git command')} before anything was asked. "
            + ("The key was changed, or another machine answers in its place." if changed else _UNKNOWN),
            remedy=Remedy(
                text="Compare the key with the fingerprint that its operator publishes; only then make it known.",
                command=shell("ssh-keyscan {} | ssh-keygen -lf -", target(first)),
            ),
            subject=host,
            requests=requests,
        )


_UNKNOWN = "known_hosts has no key for it, and in a command of go nobody can be asked whether to trust the one shown."
