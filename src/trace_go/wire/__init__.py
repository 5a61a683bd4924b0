"""Sans-IO readers of hostile bytes. A reader returns a value, None (need more), or raises WireError; nothing else leaves."""
