"""Runs scenarios of the lab once per test session, traced by the real command, as many at a time as there are cores."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from lab import board, runs, scenario, servers, world
from lab.board import Result
from lab.network import LabError
from lab.runs import Traced

Run = Callable[[str], Traced]


@pytest.fixture(scope="session")
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run of a scenario. What the session's tests are parametrized with starts at once, the rest when asked for."""
    servers.use_sbin()
    try:
        world.privileges()
        world.find_go()
    except LabError as error:
        pytest.skip(f"the lab cannot run here: {error}")
    folder, started = tmp_path_factory.mktemp("lab"), dict[str, Future[Traced]]()
    with ThreadPoolExecutor(runs.JOBS) as pool:

        def start(name: str) -> None:
            if name not in started and not runs.missing(name):
                started[name] = pool.submit(runs.traced, name, folder / name)

        def run(name: str) -> Traced:
            start(name)
            if name not in started:
                pytest.skip(runs.missing(name))
            return started[name].result()

        for item in request.session.items:
            if "traced" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec"):
                start(item.callspec.params["name"])
        yield run


@pytest.fixture
def result(name: str, traced: Run) -> Result:
    return board.judge(scenario.load(name).truth, traced(name))
