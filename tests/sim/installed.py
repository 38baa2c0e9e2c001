"""The examples of the guide in a project of their own, which has nothing of offhook but two wheels.

Builds the wheels of offhook-protocol and offhook-actors, makes an environment in a temporary folder, installs them with
the extra "simulation", copies the examples, and runs pytest there. Run it with: just examples
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: uv tells where it is to what it runs.
UV = os.environ.get("UV") or shutil.which("uv") or "uv"


def main() -> None:
    """Exits with the status of the first command that fails."""
    with tempfile.TemporaryDirectory(prefix="offhook-examples-") as folder:
        project, wheels = Path(folder) / "project", Path(folder) / "wheels"
        shutil.copytree(ROOT / "docs/examples", project, ignore=shutil.ignore_patterns("__pycache__"))
        for package in ("offhook-protocol", "offhook-actors"):
            run(UV, "build", "--quiet", "--wheel", "--package", package, "--out-dir", str(wheels), cwd=ROOT)
        run(UV, "venv", "--quiet", "--python", sys.executable, ".venv", cwd=project)
        actors = next(wheels.glob("offhook_actors-*.whl"))
        python = project / ".venv/bin/python"
        run(
            UV, "pip", "install", "--quiet", "--python", str(python), "--find-links", str(wheels),
            f"offhook-actors[simulation] @ {actors.as_uri()}", cwd=project,
        )  # fmt: skip
        run(str(python), "-c", NOTHING_ELSE, cwd=project)
        run(str(python), "-m", "pytest", "-q", "-W", "error", cwd=project)


#: What is installed is what was asked for: no web server, no codec, no speech engine.
NOTHING_ELSE = """
from importlib.metadata import distributions
offhook = sorted(each.name for each in distributions() if each.name.startswith("offhook"))
assert offhook == ["offhook-actors", "offhook-protocol"], offhook
print(len(list(distributions())), "distributions, of offhook:", *offhook)
"""


def run(*command: str, cwd: Path) -> None:
    """Run a command away from the checkout's environment."""
    kept_out = {"PYTHONPATH", "VIRTUAL_ENV", "PYTEST_ADDOPTS"}
    environment = {name: value for name, value in os.environ.items() if name not in kept_out}
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, timeout=300)
    if done.returncode != 0:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
