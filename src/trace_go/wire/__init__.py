"""Sans-IO readers of hostile bytes: a reader returns a value, None (need more), or raises WireError; nothing else."""
