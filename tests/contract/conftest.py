"""The round in both modes."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.round import MODES, Round, run
from tests.support.shared import made_once


@pytest.fixture(scope="session")
def rounds(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, run_folder: Path) -> dict[str, Round]:
    """The round in each mode, at the same time; once for all processes of the test run."""

    def run_mode(mode: str) -> Round:
        folder = tmp_path_factory.mktemp(mode)
        database = shutil.copy(migrated_sqlite, folder / "db.sqlite3")
        return run(mode, folder, f"sqlite:///{database}")

    def run_all() -> dict[str, Round]:
        with ThreadPoolExecutor(len(MODES)) as pool:
            return dict(zip(MODES, pool.map(run_mode, MODES), strict=True))

    return made_once(run_folder, "rounds", run_all)
