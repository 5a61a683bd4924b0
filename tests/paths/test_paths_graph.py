import networkx as nx
import pytest

from paths.made import MIRROR, OTHER, PROXY, Log, Net, ledger
from trace_go.model.flow import Outcome
from trace_go.model.ledger import Role
from trace_go.paths.graph import hop_graph

URL = "https://proxy.golang.org/example.com/{}/@v/v1.0.0.{}"


def test_no_request_is_the_client_alone() -> None:
    assert list(hop_graph(()).nodes) == ["client"]


def test_parties_are_nodes_and_ways_are_edges() -> None:
    net, log = Net(), Log()
    net.resolve("proxy.corp.example", PROXY)
    net.through_proxy()
    net.intercept(None)
    for name in "ab":
        log.get(URL.format(name, "mod"), sent=[200])
    graph = hop_graph(ledger(net, log, env={"HTTPS_PROXY": "http://proxy.corp.example:3128"}))
    assert isinstance(graph, nx.DiGraph)
    way = nx.shortest_path(graph, "client", "mirror proxy.golang.org")
    assert way == [
        "client",
        "forward-proxy proxy.corp.example",
        "interceptor mitmproxy",
        "mirror proxy.golang.org",
    ]
    assert graph.edges[way[0], way[1]] == {"requests": [0, 1], "broken": []}
    assert graph.nodes[way[-1]]["hop"].role is Role.MIRROR


def test_the_resolver_hangs_off_the_client() -> None:
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow()
    log.get(URL.format("a", "mod"), sent=[200])
    graph = hop_graph(ledger(net, log))
    assert set(graph.successors("client")) == {"resolver 198.51.100.53", "mirror proxy.golang.org"}
    assert not list(graph.successors("resolver 198.51.100.53"))


def test_a_redirect_leads_from_the_mirror_to_the_storage_host() -> None:
    net, log = Net(), Log()
    net.flow()
    net.flow("storage.googleapis.com", OTHER)
    log.get(URL.format("a", "zip"), sent=[302], location="https://storage.googleapis.com/x")
    graph = hop_graph(ledger(net, log))
    assert list(nx.dfs_preorder_nodes(graph, "client")) == [
        "client",
        "mirror proxy.golang.org",
        "cdn storage.googleapis.com",
    ]


@pytest.mark.parametrize(
    ("message", "outcome", "edge"),
    [
        ("dial tcp 203.0.113.10:443: i/o timeout", Outcome.NO_ANSWER, ("client", "mirror proxy.golang.org")),
        (
            "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: no such host",
            None,
            ("client", "resolver 198.51.100.53"),
        ),
    ],
)
def test_broken_edges_end_the_way(message: str, outcome: Outcome | None, edge: tuple[str, str]) -> None:
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", *([MIRROR] if outcome else []), rcode="NOERROR" if outcome else "NXDOMAIN")
    if outcome:
        net.flow(None, outcome=outcome)
    log.fail(URL.format("a", "mod"), message)
    graph = hop_graph(ledger(net, log))
    assert [pair for pair in graph.edges if graph.edges[pair]["broken"]] == [edge]
    assert graph.edges[edge]["broken"] == [0]
    assert not list(graph.successors(edge[1]))
