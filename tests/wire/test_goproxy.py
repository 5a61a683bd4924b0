"""URLs of the go command, as seen in go's own log and as its sources write them."""

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.ledger import Artifact
from trace_go.wire import goproxy
from trace_go.wire.goproxy import ModuleUrl, maybe_module_url

ARTIFACTORY = "https://art.example/artifactory/api/go/virtual"
GITLAB = "https://gitlab.example/api/v4/projects/group%2Fmy.project/packages/go"

FILES = [
    ("https://proxy.golang.org/rsc.io/quote/@v/list", Artifact.LIST, "rsc.io/quote", None, "https://proxy.golang.org"),
    ("https://goproxy.cn/golang.org/@latest", Artifact.LATEST, "golang.org", None, "https://goproxy.cn"),
    ("http://127.0.0.1:8081/gopkg.in/yaml.v3/@v/v3.0.1.info", Artifact.INFO, "gopkg.in/yaml.v3", "v3.0.1", None),
    (
        "https://proxy.golang.org/github.com/%21burnt%21sushi/toml/@v/v0.3.1.mod",
        Artifact.MOD,
        "github.com/BurntSushi/toml",
        "v0.3.1",
        None,
    ),
    (
        "https://h/github.com/!azure/x/@v/v1.0.0-!r!c.1.zip",
        Artifact.ZIP,
        "github.com/Azure/x",
        "v1.0.0-RC.1",
        "https://h",
    ),
    ("https://h/a.b/c/@v/v2.0.0+incompatible.zip?x=1#f", Artifact.ZIP, "a.b/c", "v2.0.0+incompatible", "https://h"),
    ("https://h/a.b/c/@v/v2.0.0%2Bincompatible.zip", Artifact.ZIP, "a.b/c", "v2.0.0+incompatible", "https://h"),
    ("https://h/a.b/c/%40v/master.info", Artifact.INFO, "a.b/c", "master", "https://h"),
    ("https://h/a.b/c/@v/v1.0.0.ziphash", Artifact.OTHER, "a.b/c", "v1.0.0", "https://h"),
    ("https://user:xxxxx@h//a.b/@v/list", Artifact.LIST, "a.b", None, "https://h"),
    (
        "https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip",
        Artifact.TOOLCHAIN,
        "golang.org/toolchain",
        "v0.0.1-go1.99.0.linux-amd64",
        None,
    ),
    (
        "https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.info",
        Artifact.INFO,
        "golang.org/toolchain",
        "v0.0.1-go1.99.0.linux-amd64",
        None,
    ),
    (f"{ARTIFACTORY}/github.com/x/y/@v/list", Artifact.LIST, "github.com/x/y", None, ARTIFACTORY),
    ("https://h/std/@v/list", Artifact.LIST, "std", None, "https://h"),
    ("https://h/golang.org/x/mod/sumdb/@v/list", Artifact.LIST, "golang.org/x/mod/sumdb", None, "https://h"),
    ("https://h/a.b/sumdb/db/lookup/@v/list", Artifact.LIST, "a.b/sumdb/db/lookup", None, "https://h"),
]


@pytest.mark.parametrize(("url", "artifact", "module", "version", "base"), FILES)
def test_module_files(url: str, artifact: Artifact, module: str, version: str | None, base: str | None) -> None:
    found = maybe_module_url(url)
    assert found
    assert (found.artifact, found.module, found.version, found.sumdb) == (artifact, module, version, None)
    assert base is None or found.base == base


LOOKUP = "lookup/github.com/%21burnt%21sushi/toml@v0.3.1"
TOML = ("github.com/BurntSushi/toml", "v0.3.1")
DATABASES = [
    (
        "https://proxy.golang.org/sumdb/sum.golang.org/supported",
        Artifact.SUMDB_SUPPORTED,
        None,
        "https://proxy.golang.org",
    ),
    (f"https://goproxy.io/sumdb/sum.golang.org/{LOOKUP}", Artifact.SUMDB_LOOKUP, TOML, "https://goproxy.io"),
    ("https://h/sumdb/sum.golang.org/tile/8/0/x001/x234/067", Artifact.SUMDB_TILE, None, "https://h"),
    ("https://h/sumdb/sum.golang.org/latest", Artifact.SUMDB_LATEST, None, "https://h"),
    (f"{ARTIFACTORY}/sumdb/sum.golang.org/{LOOKUP}", Artifact.SUMDB_LOOKUP, TOML, ARTIFACTORY),
    (f"https://sum.golang.org/{LOOKUP}", Artifact.SUMDB_LOOKUP, TOML, "https://sum.golang.org"),
    ("https://sum.golang.org/tile/8/1/000.p/197", Artifact.SUMDB_TILE, None, "https://sum.golang.org"),
    ("https://sum.golang.org/tile/8/data/x123/045", Artifact.SUMDB_TILE, None, "https://sum.golang.org"),
    ("https://sum.golang.org/latest", Artifact.SUMDB_LATEST, None, "https://sum.golang.org"),
]


@pytest.mark.parametrize(("url", "artifact", "asked", "base"), DATABASES)
def test_checksum_database(url: str, artifact: Artifact, asked: tuple[str, str] | None, base: str) -> None:
    module, version = asked or (None, None)
    assert maybe_module_url(url) == ModuleUrl(
        artifact=artifact, module=module, version=version, base=base, sumdb="sum.golang.org"
    )


def test_checksum_database_by_the_shape_of_its_path() -> None:
    found = maybe_module_url("https://sums.corp.example:8443/lookup/a.b/c@v1.0.0")
    assert found == ModuleUrl(
        artifact=Artifact.SUMDB_LOOKUP,
        module="a.b/c",
        version="v1.0.0",
        base="https://sums.corp.example:8443",
        sumdb="sums.corp.example:8443",
    )
    tile = maybe_module_url("https://sums.corp.example/tile/8/0/001")
    assert tile
    assert tile.sumdb == "sums.corp.example"
    assert maybe_module_url("https://sums.corp.example/latest") is None


@pytest.mark.parametrize(
    ("bases", "rest", "base", "sumdb"),
    [
        (("https://sums.corp.example",), "latest", "https://sums.corp.example", "sums.corp.example"),
        (("https://sums.corp.example/db/",), "db/latest", "https://sums.corp.example/db/", "sums.corp.example/db"),
        (
            ("https://sums.corp.example/sumdb/sum.golang.org",),
            "sumdb/sum.golang.org/lookup/a.b@v1.0.0",
            "https://sums.corp.example/sumdb/sum.golang.org",
            "sum.golang.org",
        ),
        (("https://sums.corp.example/sumdb",), "sumdb/sumdb/a.b/latest", "https://sums.corp.example/sumdb", "a.b"),
        (("https://sums.corp.example",), "go/sumdb/a.b/db/latest", "https://sums.corp.example/go", "a.b/db"),
    ],
)
def test_checksum_database_at_a_given_base(bases: tuple[str, ...], rest: str, base: str, sumdb: str) -> None:
    found = maybe_module_url(f"https://sums.corp.example/{rest}", bases)
    assert found
    assert (found.base, found.sumdb) == (base, sumdb)


@pytest.mark.parametrize(
    ("bases", "url", "module", "base"),
    [
        (("https://h/go", "https://h/go/v1.2"), "https://h/go/v1.2/a.b/@v/list", "a.b", "https://h/go/v1.2"),
        (("https://h/go", "https://h/go/v1.2"), "https://h/go/a.b/@v/list", "a.b", "https://h/go"),
        (("https://h/a.b",), "https://h/a.bc/@v/list", "a.bc", "https://h"),
        (("https://me:secret@H:443/go/",), "https://h/go/a.b/@v/list", "a.b", "https://me:secret@H:443/go/"),
        (("https://h/go",), "https://me:xxxxx@h/go/a.b/@v/list", "a.b", "https://h/go"),
        (("https://h/go",), "http://h/go/a.b/@v/list", "a.b", "http://h/go"),
        (("https://h:8443/1.0",), "https://h/1.0/a.b/@v/list", "1.0/a.b", "https://h"),
        (("direct", "off", "h/x.y"), "https://h/x.y/a.b/@v/list", "a.b", "h/x.y"),
        ((GITLAB,), f"{GITLAB}/a.b/@v/list", "a.b", GITLAB),
        (("https://h",), "https://h/api/go/a.b/@v/list", "a.b", "https://h/api/go"),
    ],
)
def test_the_longest_base_splits(bases: tuple[str, ...], url: str, module: str, base: str) -> None:
    for order in (bases, bases[::-1]):
        found = maybe_module_url(url, order)
        assert found
        assert (found.module, found.base) == (module, base)


@pytest.mark.parametrize(
    ("url", "artifact", "module", "base"),
    [
        ("https://Corp.example/Team/x?go-get=1", Artifact.GO_GET, "corp.example/Team/x", "https://Corp.example"),
        ("https://golang.org/?go-get=1", Artifact.GO_GET, "golang.org", "https://golang.org"),
        ("http://u:p@h.example:8080/x/?a=b&go-get=1", Artifact.GO_GET, "h.example/x", "http://h.example:8080"),
        (
            "https://github.com/a/B.git/info/refs?service=git-upload-pack",
            Artifact.GIT,
            None,
            "https://github.com/a/B.git",
        ),
        ("https://u:p@github.com/a/b/git-upload-pack", Artifact.GIT, None, "https://github.com/a/b"),
    ],
)
def test_direct_mode(url: str, artifact: Artifact, module: str | None, base: str) -> None:
    for bases in ((), ("https://github.com", "https://golang.org")):
        assert maybe_module_url(url, bases) == ModuleUrl(artifact=artifact, module=module, version=None, base=base)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy.golang.org/a.b/@v/list",
        "file:///proxy/a.b/@v/list",
        "https://",
        "https://h",
        "https://h/",
        "https://h/@v/list",
        "https://h/@latest",
        "https://h/a.b/@v",
        "https://h/a.b/@v/",
        "https://h/a.b/@v/v1.0.0",
        "https://h/a.b/@v/v1.0.0.tar",
        "https://h/a.b/@v/.info",
        "https://h/a.b/@v/v1.0.0/x.info",
        "https://h/a.b/C/@v/list",
        "https://h/a.b/!C/@v/list",
        "https://h/a.b/x!/@v/list",
        "https://h/a.b/%C3%A9/@v/list",
        "https://h/a.b/@v/V1.info",
        "https://h/a.b/x?service=git-upload-pack",
        "https://h/a.b/info/refs?service=git-receive-pack",
        "https://h/x?go-get=0",
        "https://sum.golang.org/supported",
        "https://sum.golang.org/lookup/a.b",
        "https://sum.golang.org/lookup/a.b@master",
        "https://sum.golang.org/lookup/A@v1.0.0",
        "https://sum.golang.org/tile/8/0",
        "https://sum.golang.org/tile/8/0/1",
        "https://h/deep/lookup/a.b@v1.0.0",
        "https://h/sumdb/supported",
        "https://[::1/a",
        "https://h/" + "a.b/" * 100 + "@v/list",
    ],
)
def test_nothing_of_gos(url: str) -> None:
    assert maybe_module_url(url) is None


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("github.com/Azure/azure-sdk-for-go", "github.com/!azure/azure-sdk-for-go"),
        ("v1.0.0-RC.1", "v1.0.0-!r!c.1"),
        ("", ""),
        ("rsc.io/quote/v3", "rsc.io/quote/v3"),
    ],
)
def test_escape(plain: str, escaped: str) -> None:
    assert goproxy.escape(plain) == escaped
    assert goproxy.unescape(escaped) == plain


@pytest.mark.parametrize("text", ["A", "a!", "!", "!!a", "!A", "!1", "é", "a!é", "!\nb"])
def test_unescape_refuses_what_go_does_not_write(text: str) -> None:
    assert goproxy.unescape(text) is None


PATHS = st.lists(st.text(string.ascii_letters + string.digits + "-._~", min_size=1), min_size=1, max_size=5)
VERSIONS = st.text(string.ascii_letters + string.digits + "-._~+%#& ", min_size=1)


@given(path=PATHS, version=VERSIONS)
def test_round_trip(path: list[str], version: str) -> None:
    module = "host.example/" + "/".join(path)
    for text in (module, version):
        assert goproxy.unescape(goproxy.escape(text)) == text
    quoted = goproxy.escape(version).replace("%", "%25").replace("#", "%23")
    found = maybe_module_url(f"https://h/api/{goproxy.escape(module)}/@v/{quoted}.mod", ("https://h/api",))
    assert found == ModuleUrl(artifact=Artifact.MOD, module=module, version=version, base="https://h/api")


@given(st.text(string.ascii_lowercase + "!A.", max_size=12))
def test_unescaped_text_escapes_back(text: str) -> None:
    plain = goproxy.unescape(text)
    assert plain is None or goproxy.escape(plain) == text


@given(
    st.lists(
        st.sampled_from(
            ["https://", "http://", "h", "a.b", "/", "@v", "@latest", "list", "sumdb", "lookup", "tile", "latest"]
        )
        | st.sampled_from(
            ["?go-get=1", "?service=git-upload-pack", "info", "refs", "git-upload-pack", "@v1.0.0", ".zip"]
        )
        | st.sampled_from(["%", "%21", "%ff", "!", "@", ":", "[", "]", "#", "\n", "\0", "é"]),
        max_size=14,
    ).map("".join),
    st.lists(st.text("htps:/a.b%[]@", max_size=12), max_size=3).map(tuple),
)
def test_any_text_is_read_or_not(url: str, bases: tuple[str, ...]) -> None:
    found = maybe_module_url(url, bases)
    assert found is None or isinstance(found.artifact, Artifact)


def test_long_hostile_paths_cost_little() -> None:
    for part in ("sumdb/", "sumdb/tile/", "sumdb/x/lookup/", "a.b/", "%2F", "!a", "@v/"):
        for size in (31, 60_000 // len(part)):
            start = time.perf_counter()
            maybe_module_url("https://h/" + part * size)
            assert time.perf_counter() - start < 0.2
