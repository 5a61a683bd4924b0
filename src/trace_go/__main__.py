"""`python -m trace_go`."""

import sys

from trace_go.cli.main import main

sys.exit(main())
