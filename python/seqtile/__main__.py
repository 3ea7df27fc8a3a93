"""``python -m seqtile`` is the command ``seqtile``."""

from .cli import main

raise SystemExit(main())
