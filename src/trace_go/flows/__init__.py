"""From packet columns to flows: grouping, timing, reassembly of stream heads."""
