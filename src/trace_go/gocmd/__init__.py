"""What the go command says and means: environment, logs, GOPROXY, known hosts, fingerprints."""
