"""How long `offhook up` takes until it is ready (aim: 3 s), and where that time goes.

Warm: a data folder that has been used, bytecode compiled. Cold: as after an installation, with an empty data folder
and no bytecode (in files; the system's file cache stays warm). On a busy machine look at the CPU time: the processes
start side by side, so that the wall time cannot be less than CPU time / cores. Then each role starts alone, beside a
NATS server that runs.

    python bench/ready.py [--warm 7] [--cold 3] [--alone 3]
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from measure.figures import Progress, machine, print_result, row, summary
from measure.processes import by_name, processes_below

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from product import free_port

from offhook.services.bus import nats_server
from offhook.services.role import VARIABLE
from offhook.services.settings import ROLES, Address, Settings, encode_settings

#: Seconds after which a start counts as failed.
PATIENCE = 60.0


def start_all(data: Path, environment: dict[str, str]) -> tuple[float, dict[str, float]]:
    """Start everything once; returns the seconds until it was ready and the CPU seconds spent by then, by role."""
    offhook = Path(sys.executable).with_name("offhook")
    command = [str(offhook), "up", "--http", f"127.0.0.1:{free_port()}", "--data", str(data)]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        took = time.monotonic() - begun
        spent = by_name(processes_below(process.pid))
        if "is ready" not in said:
            raise SystemExit(f"offhook up did not start: {said}")
        return took, spent
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        process.stdout.close()


def start_role(role: str, url: str, data: Path, *, imports: bool) -> tuple[float, float]:
    """Start a role once; returns wall and CPU seconds until it serves, or with ``imports`` wall and import seconds."""
    reading, writing = os.pipe()
    api, http = (Address("127.0.0.1", free_port()) for _ in range(2))
    settings = encode_settings(Settings(nats=url, data=data, http=http, api=api))
    python = [sys.executable, *(["-X", "importtime"] if imports else []), "-P"]
    command = [*python, "-m", "offhook.services.role", "run", role, str(writing)]
    with tempfile.TemporaryFile("w+") as log:
        begun = time.monotonic()
        process = subprocess.Popen(command, pass_fds=[writing], stderr=log, env=os.environ | {VARIABLE: settings})
        os.close(writing)
        try:
            said = os.read(reading, 16)
            took = time.monotonic() - begun
            # Its own only: the speech workers that voice starts load beside it.
            spent = next(one.cpu for one in processes_below(process.pid) if one.pid == process.pid)
        finally:
            os.close(reading)
            process.terminate()
            process.wait(PATIENCE)
        log.seek(0)
        if not said:
            raise SystemExit(f"{role} did not start: {log.read()}")
        each = re.findall(r"import time: +(\d+) \|", log.read())
        return took, sum(map(int, each)) / 1e6 if imports else spent


async def start_roles(times: int, progress: Progress) -> dict[str, dict[str, list[float]]]:
    """Start each role alone, several times."""
    found: dict[str, dict[str, list[float]]] = {role: defaultdict(list) for role in ROLES}
    with tempfile.TemporaryDirectory() as folder:
        async with nats_server(Path(folder) / "nats") as url:
            for role in ROLES:
                progress.step(f"{role} alone")
                for _ in range(times):
                    for imports in (False, True):
                        start = partial(start_role, role, url, Path(folder) / "data", imports=imports)
                        took, spent = await anyio.to_thread.run_sync(start)
                        found[role]["imports" if imports else "cpu"].append(spent)
                        if not imports:
                            found[role]["wall"].append(took)
    return found


def measure_all(times: int, *, cold: bool, progress: Progress) -> dict[str, Any]:
    """Start everything several times; prints and returns the figures."""
    walls: list[float] = []
    spent: dict[str, list[float]] = defaultdict(list)
    kind = "cold" if cold else "warm"
    with tempfile.TemporaryDirectory() as folder:
        if not cold and times:
            start_all(Path(folder, "data"), {})
        for number in range(times):
            progress.step(f"{kind} start {number + 1}")
            place = Path(folder, f"cold-{number}" if cold else "data")
            took, cpu = start_all(place, {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode-{number}"} if cold else {})
            walls.append(took)
            spent["all"].append(sum(cpu.values()))
            for name, seconds in cpu.items():
                spent[name].append(seconds)
            if cold:
                shutil.rmtree(place)
    progress.end()
    print(row(f"{kind}: `offhook up` to ready", walls, "s"))
    for name, used in sorted(spent.items(), key=lambda item: -max(item[1])):
        print(row(f"  CPU until then, {name}", used, "s"))
    return {"wall": summary(walls), "cpu": {name: summary(seconds) for name, seconds in spent.items()}}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--warm", type=int, default=7, help="starts with everything in place")
    parser.add_argument("--cold", type=int, default=3, help="starts as after an installation")
    parser.add_argument("--alone", type=int, default=3, help="starts of each role alone")
    options = parser.parse_args()
    before = machine()
    progress = Progress(options.warm + options.cold + (len(ROLES) if options.alone else 0))
    figures: dict[str, Any] = {
        "warm": measure_all(options.warm, cold=False, progress=progress),
        "cold": measure_all(options.cold, cold=True, progress=progress),
    }
    if options.alone:
        alone = anyio.run(start_roles, options.alone, progress)
        progress.end()
        for role, found in alone.items():
            print(row(f"{role} alone: wall", found["wall"], "s"))
            print(row("  CPU", found["cpu"], "s"))
            print(row("  of it imports (measured apart)", found["imports"], "s"))
        figures["alone"] = {
            role: {what: summary(values) for what, values in found.items()} for role, found in alone.items()
        }
    print_result("ready", before, figures)


if __name__ == "__main__":
    main()
