"""Cases made from go's account alone, for what a check makes of settings."""

from paths.made import Log, Net, account, ledger
from trace_go.gocmd.hosts import load_hosts
from trace_go.model.policy import Policy
from trace_go.model.report import Case

PUBLIC = "https://proxy.golang.org"
KNOWN = load_hosts().covering(())


def case(*urls: str, status: int = 404, policy: Policy | None = None, **env: str) -> Case:
    """A run in which each URL was answered with `status`. env: variables of the command's environment."""
    net, log = Net(), Log()
    net.flow()
    for url in urls:
        log.get(url, status, sent=[status])
    effective = {"GOPROXY": f"{PUBLIC},direct", **env}
    requests = ledger(net, log, **effective)
    told = account(log, go_env=effective, process_env=env)
    return Case(
        files=(),
        flows=net.traffic.flows,
        lookups=(),
        judgements=(),
        account=told,
        requests=requests,
        seeing=(),
        known=KNOWN,
        policy=policy or Policy(),
    )
