"""The pytest plugin, from the outside: a pytest run of its own for each test (X1)."""

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PARROT = """
import pytest
from offhook.protocol.speech import Finish, Hints, Say


class Parrot:
    def hints(self):
        return Hints()

    async def open(self):
        yield Say("Hello.")

    async def hear(self, heard):
        yield Say(f"You said {heard.text}.")

    async def wait(self):
        yield Say("Hello?")


@pytest.fixture
def parrot(simulation):
    return simulation.brain("parrot", lambda tools, variables: Parrot())
"""


@pytest.fixture
def outside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that has the plugin as an entry point would: by its name."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p offhook.simulation.pytest_plugin -p no:cacheprovider")
    pytester.makeconftest(PARROT)
    return pytester


def run(outside: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return outside.runpytest_subprocess(*arguments, timeout=60)


def test_a_call_in_virtual_time_with_other_fixtures_and_parameters(outside: pytest.Pytester) -> None:
    outside.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("word", ["one", "two"])
        async def test_a_call(simulation, parrot, word, tmp_path):
            call = await simulation.dial(parrot)
            await call.waits(600)
            await call.says(word)
            await call.hears("you said " + word)
            assert tmp_path.exists() and simulation.now > 600

        class TestMethods:
            async def test_a_method(self, simulation, parrot):
                await (await simulation.dial(parrot)).hears("hello")

        def test_a_function_of_the_usual_kind(simulation, parrot):
            assert parrot.id == "parrot"
        """
    )
    run(outside, "-W", "error").assert_outcomes(passed=4)


def test_a_failure_shows_the_call_and_the_line_that_replays_it(outside: pytest.Pytester) -> None:
    outside.makepyfile(
        """
        async def test_a_call(simulation, parrot):
            call = await simulation.dial(parrot)
            await call.hears("good morning")
        """
    )
    result = run(outside, "--offhook-seed=41")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*await call.hears("good morning")',
            "E*expected to hear 'good morning' within 15 s, until 0:15.0; heard \"Hello. Hello?*",
            "E*0:00.0  caller  dials parrot",
            "*replay*",
            "python -m pytest '*::test_a_call' --offhook-seed=41",
        ]
    )
    # Where it was raised inside of the kit, and the group of tasks it ran in, are of no use to the reader.
    result.stdout.no_fnmatch_line("*script.py*")
    result.stdout.no_fnmatch_line("*ExceptionGroup*")


def test_what_a_test_raises_comes_out_as_it_is(outside: pytest.Pytester) -> None:
    outside.makepyfile(
        """
        import pytest

        async def test_skips(simulation):
            pytest.skip("not today")

        @pytest.mark.xfail(raises=KeyError, strict=True)
        async def test_raises(simulation):
            raise KeyError("x")

        @pytest.mark.simulation(limit=300)
        async def test_goes_astray(simulation):
            import anyio
            await anyio.sleep_forever()
        """
    )
    result = run(outside)
    result.assert_outcomes(skipped=1, xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["E*TimeoutError: the test has not ended after 300 s of virtual time"])


def test_one_seed_is_one_order_of_things(outside: pytest.Pytester) -> None:
    outside.makepyfile(
        """
        import anyio

        async def test_order(simulation, parrot):
            order = []

            async def note(number):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                order.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(note, number)
            print("ORDER", order, simulation.random.random())
        """
    )

    def order(seed: int) -> str:
        result = run(outside, "-s", f"--offhook-seed={seed}")
        return next(line for line in result.outlines if "ORDER" in line)

    assert order(1) == order(1) != order(2)


def test_nodes_are_asked_for_by_a_marker(outside: pytest.Pytester) -> None:
    outside.makepyfile(
        """
        import pytest

        @pytest.mark.simulation(gateways=2, voices=3)
        async def test_nodes(simulation):
            assert len(simulation.world.nodes) == 5
        """
    )
    run(outside, "--strict-markers").assert_outcomes(passed=1)


def test_other_asynchronous_tests_run_as_before(outside: pytest.Pytester) -> None:
    outside.makepyfile(
        """
        import anyio
        import pytest
        import sniffio

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
        async def test_anyio(anyio_backend):
            await anyio.sleep(0)
            assert sniffio.current_async_library() == anyio_backend

        async def test_nobody_runs_this():
            raise AssertionError

        class TestOther:
            @pytest.fixture
            def simulation(self):
                return "weather"

            @pytest.mark.anyio
            @pytest.mark.parametrize("anyio_backend", ["asyncio"])
            async def test_a_fixture_of_the_same_name(self, simulation, anyio_backend):
                assert simulation == "weather"
                assert sniffio.current_async_library() == "asyncio"
        """
    )
    # pytest itself fails a coroutine that no plugin runs.
    run(outside).assert_outcomes(passed=3, failed=1)


def test_a_run_that_does_not_use_it_imports_nothing_of_it(outside: pytest.Pytester) -> None:
    outside.makeconftest("")
    outside.makepyfile(
        """
        import sys

        def test_nothing():
            known = [name for name in sys.modules if name.startswith(("offhook.", "trio", "hypothesis", "msgspec"))]
            assert known == ["offhook.simulation", "offhook.simulation.pytest_plugin"], known
        """
    )
    result = run(outside, "-p", "no:hypothesispytest", "-p", "no:anyio")
    result.assert_outcomes(passed=1)


def test_the_plugin_can_be_named_twice(outside: pytest.Pytester) -> None:
    outside.makepyfile("def test_nothing(): pass")
    run(outside, "-p", "offhook.simulation.pytest_plugin").assert_outcomes(passed=1)


def test_the_plugin_of_the_installed_distribution() -> None:
    """The entry point, as it is declared."""
    import tomllib

    declared = tomllib.loads((Path(__file__).parents[2] / "actors/pyproject.toml").read_text("utf-8"))
    (name, module), *others = declared["project"]["entry-points"]["pytest11"].items()
    assert not others
    assert name == module == "offhook.simulation.pytest_plugin"
    assert name in sys.modules
