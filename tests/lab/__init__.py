"""A small internet in network namespaces: real go, git, DNS, mirrors, proxies; one TOML file a scenario."""
