"""Joins flows, names and go's own account into the ledger and the hop graph."""
