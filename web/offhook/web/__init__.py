"""Files a browser loads: the page of a call and the modules it is made of. Plain ES modules, no build step.

A server gives ``pages/call/index.html`` for ``/`` and the files below ``FOLDER`` for ``/web/*``.
"""

from pathlib import Path
from typing import Final

#: The folder the files lie in.
FOLDER: Final = Path(__file__).resolve().parent
