"""The hop graph: parties as nodes, ways that requests took between them as edges."""

from collections.abc import Sequence

import networkx as nx

from trace_go.model.ledger import Hop, Request, Role


def node(hop: Hop) -> str:
    """The node of a hop: its role with the name or address that identifies it."""
    return f"{hop.role} {hop.host or hop.label or hop.ip or '?'}"


def hop_graph(requests: Sequence[Request]) -> "nx.DiGraph[str]":
    """Directed graph from `client`. Nodes carry `hop`; edges `requests` (ids) and `broken` (ids that broke there).

    The resolver is asked beside the way and so hangs off the client.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("client")
    for request in requests:
        at = "client"
        for hop in request.hops:
            name = node(hop)
            graph.add_node(name, hop=hop)
            if not graph.has_edge(at, name):
                graph.add_edge(at, name, requests=[], broken=[])
            graph.edges[at, name]["requests"].append(request.id)
            if hop.broken:
                graph.edges[at, name]["broken"].append(request.id)
                break
            if hop.role is not Role.RESOLVER:
                at = name
    return graph
