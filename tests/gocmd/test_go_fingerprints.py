"""ClientHello fingerprints; recorded as data/fingerprints.toml of the room says."""

import pytest

from trace_go.gocmd.fingerprints import GO_ALPN, client_name

BOTH = "03117a8ed39ef02427ebbc39f121275c"
JA4_26, JA4_27 = "t13d1312h2_f57a46bbacb6_ab7e3b40a677", "t13d1312h2_f57a46bbacb6_f50d94e863eb"
EARLY = "t13d1911h2_9dc949149365_e7c285222651"


@pytest.mark.parametrize(
    ("ja3", "ja4", "name"),
    [
        ("706ea0b1920182287146b195ad4279a6", "", "go 1.13"),
        ("d0ee3237a14bbd89ca4d2b5356ab20ba", "", "go 1.14–1.16"),
        ("3fed133de60c35724739b913924b6c24", "", "go 1.17–1.20"),
        ("7a15285d4efc355608b304698cd7f9ab", EARLY, "go 1.21–1.22"),
        ("397c55c9aaf9820f7655666ee7fc3c2d", "t13i1910h2_9dc949149365_e7c285222651", "go 1.21–1.22"),
        ("570c7ff2d962a8fda90fb55df19f1cf6", EARLY, "go 1.23"),
        ("ceb419f4203d3159e7a7cb3aa7efd5bd", "t13d1311h2_f57a46bbacb6_e7c285222651", "go 1.24"),
        ("e69402f870ecf542b4f017b0ed32936a", JA4_26, "go 1.25"),
        (BOTH, JA4_26, "go 1.26"),
        (BOTH, JA4_27, "go 1.27"),
        (BOTH, "", "go 1.26–1.27"),
        ("60828da5b42313d165aae2938e651b72", "t13i1311h2_f57a46bbacb6_f50d94e863eb", "go 1.27"),
        ("8662467bc96db2d387755570446a7946", "t13d2912h2_723694b0fccc_288f874c93d6", "git (libcurl with GnuTLS)"),
        ("95b6f6d62c2c0f5258859e829e0055f5", "t13d1312h2_f57a46bbacb6_a089bac06eae", "program built with Go"),
        # go 1.27 builds such a program for `go 1.24`: the groups of 1.25, the signature algorithms of 1.27
        ("e69402f870ecf542b4f017b0ed32936a", JA4_27, "program built with Go"),
        ("00000000000000000000000000000000", JA4_27, ""),
        ("", "", ""),
    ],
)
def test_clients(ja3: str, ja4: str, name: str) -> None:
    assert client_name(ja3, ja4, GO_ALPN) == name


def test_another_alpn_is_not_the_go_command() -> None:
    assert client_name(BOTH, JA4_27, ("h2",)) == "program built with Go"
    assert client_name("8662467bc96db2d387755570446a7946", "", ()) == "git (libcurl with GnuTLS)"
