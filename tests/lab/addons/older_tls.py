"""mitmproxy addon: towards the client TLS 1.2 at most for goproxy.cn, as a gateway with exceptions by name has it."""

import importlib
from typing import Any


def tls_start_client(data: Any) -> None:
    """mitmproxy calls it before it makes the settings of a connection that it intercepts."""
    options = importlib.import_module("mitmproxy.ctx").options  # it is in mitmproxy's own environment
    options.tls_version_client_max = "TLS1_2" if data.context.client.sni == "goproxy.cn" else "UNBOUNDED"
