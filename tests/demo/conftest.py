"""A folder of results that several tests read and none changes."""

import pytest

from demo.board.results import Results, read_results
from tests.demo.runs import write_run


@pytest.fixture(scope="package")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One run of scripted methods over tiny scenes."""
    root = tmp_path_factory.mktemp("results")
    write_run(root / "run", tmp_path_factory.mktemp("data"))
    return read_results(root)
