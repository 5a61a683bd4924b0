"""Signs of interception in a chain: each fires, and stays silent on what is ordinary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.evidence import Confidence, Visibility
from trace_go.trust.interceptors import Kind, Sign, confidence, interceptor, products, shared_keys
from trace_go.wire.certificates import certificate
from trust.authority import NAME, NOW_NS, chain, intermediate, issue, key, leaf, root

ORDINARY = chain(leaf(), intermediate())
MITM = issue("mitmproxy", o="mitmproxy", use="rsa2048 mitm")


def texts(signs: tuple[Sign, ...]) -> list[str]:
    return [sign.text for sign in signs]


@pytest.mark.parametrize(
    ("kinds", "seen", "probed"),
    [
        ((Kind.SHARED,), Confidence.MEDIUM, Confidence.MEDIUM),
        ((Kind.SHARED, Kind.SUPPORTING), Confidence.MEDIUM, Confidence.MEDIUM),
        ((Kind.KEY, Kind.KEY, Kind.SUPPORTING), Confidence.HIGH, Confidence.HIGH),
        ((Kind.TRUST,), Confidence.HIGH, Confidence.HIGH),
        ((Kind.NAME, Kind.KEY), Confidence.CERTAIN, Confidence.HIGH),
        ((Kind.KEY, Kind.TRUST, Kind.SHARED), Confidence.CERTAIN, Confidence.HIGH),
    ],
)
def test_confidence(kinds: tuple[Kind, ...], seen: Confidence, probed: Confidence) -> None:
    signs = [Sign(kind=kind, text=kind) for kind in kinds]
    assert confidence(signs, Visibility.SEEN) is seen
    assert confidence(signs, Visibility.PROBED) is probed


def test_gos_own_test_servers_give_no_sign() -> None:
    """net/http/httptest: one self-signed certificate of "Acme Co" with one key for every server."""
    acme = chain(issue("", o="Acme Co", dns=["example.com"], use="rsa2048 acme"))
    assert interceptor(acme, at_ns=NOW_NS) == (None, ())
    assert shared_keys([("a.test", acme), ("b.invalid", acme)]) == {}


def test_ordinary_chains_give_no_sign() -> None:
    for ordinary in (
        chain(leaf(), intermediate()),
        chain(leaf(), intermediate(), root()),
        chain(issue(NAME, dns=[NAME])),  # self-signed: key identifiers are equal there by nature
        chain(root()),
        (),
        (certificate(b"junk"),),
    ):
        assert interceptor(ordinary, at_ns=NOW_NS) == (None, ())


def test_mitmproxy_with_all_its_signs() -> None:
    made = leaf(MITM, use="rsa2048 mitm", days=(-2, 363), ids=False)
    who, why = interceptor(chain(made, MITM), at_ns=NOW_NS + 10**9)
    assert who == "mitmproxy"
    assert [w for w in why if "mitmproxy, is that of" in w.text]
    assert [w for w in why if "its own key" in w.text]
    assert [w for w in why if "two days back" in w.text]


def test_shared_key_alone_names_the_issuer() -> None:
    gateway = issue("Corp Web Gateway", o="Corp", use="p256 gateway")
    who, why = interceptor(chain(leaf(gateway, use="p256 gateway")))
    assert who == "Corp Web Gateway"
    assert len(why) == 2  # signature and key identifier
    who, why = interceptor(chain(leaf(gateway, use="p256 gateway", ids=False)))
    assert (who, len(why)) == ("Corp Web Gateway", 1)


def test_key_identifier_alone() -> None:
    """A leaf whose signature is of a key that cannot be tried, yet names its own key as the issuer's."""
    forged = leaf(signer=key("p256 leaf"))
    broken = certificate(forged.der[:-4] + bytes(4))
    who, why = interceptor((broken,))
    assert (who, texts(why)) == ("Test Intermediate E1", ["its authority key identifier is that of its own key"])


@pytest.mark.parametrize("listed", ["Corp CA*", "corp ca 7", "Corp Ltd", "CN=Corp CA 7,O=Corp Ltd", " Corp CA 7 "])
def test_users_own_authorities_by_name(listed: str) -> None:
    corp = issue("Corp CA 7", o="Corp Ltd")
    who, why = interceptor(chain(leaf(corp)), cas=["Other", listed])
    assert (who, texts(why)) == ("Corp CA 7", ["Corp CA 7 is listed in interception-cas"])


def test_users_own_authorities_by_fingerprint() -> None:
    corp = issue("Corp CA 7", o="Corp Ltd")
    digest = certificate(corp.der).sha256.upper()
    colons = ":".join(digest[i : i + 2] for i in range(0, 64, 2))
    for listed in (digest, colons):
        assert interceptor(chain(leaf(corp), corp), cas=[listed])[0] == "Corp CA 7"
    assert interceptor(chain(leaf(corp), corp), cas=["", "CA", "0" * 64]) == (None, ())


ISSUERS = {
    "mitmproxy": ("mitmproxy", "mitmproxy"),
    "Avast": ("avast! Web/Mail Shield Root", "avast! Web/Mail Shield"),
    "Bitdefender": ("Bitdefender Personal CA.Net-Defender", None),
    "Cisco Umbrella": ("Cisco Umbrella Primary SubCA ams-SG", "Cisco"),
    "Fortinet FortiGate": ("FG100D3G12345678", "Fortinet Ltd."),
    "Forcepoint": ("x", "Forcepoint LLC"),
    "Sophos": ("Sophos SSL CA_C1234-X", None),
    "Blue Coat ProxySG": ("proxy", "Blue Coat SG210 Series"),
    "Zscaler": ("Zscaler Intermediate Root CA (zscaler.net) (t) ", "Zscaler Inc."),
    "Netskope": ("ca.corp.goskope.com", None),
    "Charles Proxy": ("Charles Proxy CA (1 Jan 2026, host)", "XK72 Ltd"),
    "Fiddler": ("DO_NOT_TRUST_FiddlerRoot", "DO_NOT_TRUST"),
    "Burp Suite": ("PortSwigger CA", "PortSwigger"),
    "OWASP ZAP": ("OWASP Zed Attack Proxy Root CA", "OWASP Root CA"),
    "Check Point": ("gw.corp Check Point", None),
}


@pytest.mark.parametrize(("product", "names"), ISSUERS.items(), ids=str)
def test_products_are_known_by_their_issuer(product: str, names: tuple[str, str | None]) -> None:
    cn, organisation = names
    assert interceptor(chain(leaf(issue(cn, o=organisation))))[0] == product


def test_subjects_and_half_names_do_not_count() -> None:
    own_site = leaf(cn="www.zscaler.com", dns=["www.zscaler.com"], o="Zscaler Inc.")
    assert interceptor(chain(own_site, intermediate())) == (None, ())
    for cn, organisation in (
        ("E1", "Fortinet Fans"),
        ("not mitmproxy", None),
        ("whistler", None),
        ("Barracudas", None),
    ):
        assert interceptor(chain(leaf(issue(cn, o=organisation)))) == (None, ())


def test_every_listed_product_has_a_pattern() -> None:
    assert len(products()) > 30
    assert all(p.issuer or p.organisation for p in products())
    assert len({p.name for p in products()}) == len(products())


def test_shared_keys_over_unrelated_names() -> None:
    def served(host: str, names: list[str], use: str = "p256 shared") -> tuple[str, tuple[object, ...]]:
        return host, chain(leaf(MITM, cn=host, dns=names, use=use))

    one, two = served("proxy.golang.org", ["proxy.golang.org"]), served("github.com", ["github.com"])
    spki = one[1][0].spki_sha256  # type: ignore[attr-defined]
    assert shared_keys([one, two, one]) == {spki: ("proxy.golang.org", "github.com")}  # type: ignore[list-item]
    for related in (
        [one, one],
        [one, served("sum.golang.org", ["sum.golang.org"])],  # one owner
        [one, served("github.com", ["github.com", "golang.org"])],  # one CDN
        [one, served("github.com", ["github.com"], "p256 other")],
        [("a.example", ()), ("b.test", (certificate(b"junk"),)), ("c.test", (certificate(b"junk"),))],
    ):
        assert shared_keys(related) == {}  # type: ignore[arg-type]
    bridge = served("cdn.example", ["golang.org", "github.com"])
    assert shared_keys([one, two, bridge]) == {}  # type: ignore[list-item]


@given(st.lists(st.text(max_size=20), max_size=3), st.binary(max_size=40))
def test_any_configuration_and_chain(cas: list[str], der: bytes) -> None:
    interceptor((certificate(der), *ORDINARY), cas=cas, at_ns=NOW_NS)
