"""Arguments, exit codes and the pages of `explain`."""
