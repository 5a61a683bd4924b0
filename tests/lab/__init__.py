"""A small internet in network namespaces: real go, git, DNS, mirrors, proxies and interceptors, one TOML file a scenario."""
