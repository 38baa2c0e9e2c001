"""What the simulated calls of these tests talk to."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
