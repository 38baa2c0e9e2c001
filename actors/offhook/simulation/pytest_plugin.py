"""The pytest plugin: ``async def`` tests that take the fixture ``simulation`` run in virtual time, one order per seed.

Nothing of the simulation is imported before a test asks for it.
"""

import inspect
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from offhook.simulation.kit import Simulation

#: Virtual seconds after which a test has gone astray, unless its marker says otherwise.
LONGEST = 4 * 3600.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--offhook-seed``."""
    parser.getgroup("offhook").addoption(
        "--offhook-seed",
        type=int,
        default=0,
        metavar="N",
        help="the order in which simulated things happen that happen at one time (default: 0)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the marker."""
    config.addinivalue_line(
        "markers",
        "simulation(gateways=1, voices=1, limit=14400): its nodes, and its longest time in virtual seconds (offhook)",
    )


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> "Simulation":
    """Agents, and calls to them in virtual time. Documents are looked for beside the test."""
    from offhook.simulation.kit import Simulation

    return Simulation(folder=request.path.parent, seed=request.config.getoption("--offhook-seed"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the ``async def`` tests that use the fixture."""
    simulation = pyfuncitem.funcargs.get("simulation")
    if simulation is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    from offhook.simulation.kit import Simulation

    if not isinstance(simulation, Simulation):
        # Somebody else's fixture of the same name.
        return None
    marker = pyfuncitem.get_closest_marker("simulation")
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    _run(simulation, pyfuncitem.obj, arguments, dict(marker.kwargs) if marker is not None else {})
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under a failed simulation stands the line that replays it."""
    report = yield
    if report.failed and report.when == "call" and "simulation" in getattr(item, "fixturenames", ()):
        seed = item.config.getoption("--offhook-seed")
        report.sections.append(("replay", f"python -m pytest '{item.nodeid}' --offhook-seed={seed}"))
    return report


def _run(simulation: "Simulation", test: Any, arguments: dict[str, Any], marked: dict[str, Any]) -> None:
    """Run a test in virtual time; what it raises comes out as it was raised."""
    __tracebackhide__ = True
    import anyio

    from offhook.simulation.scheduler import run

    nodes = dict(marked)
    longest = float(nodes.pop("limit", LONGEST))
    raised: BaseException | None = None

    async def scenario() -> None:
        nonlocal raised
        async with simulation.running(**nodes):
            try:
                with anyio.move_on_after(longest) as limit:
                    await test(**arguments)
                if limit.cancelled_caught:
                    raise TimeoutError(f"the test has not ended after {longest:g} s of virtual time")
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:
                # Out of a task group it would come in an exception group, which hides what a test has to say.
                raised = error

    run(scenario, seed=simulation.seed)
    if raised is not None:
        raise raised
