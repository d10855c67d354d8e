"""The backend `userapi.sqlite`. Django looks for this module and for `DatabaseWrapper` in it."""

from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Notices that the file has been replaced.

    A persistent connection would continue to use the old, unlinked file: a restored backup would stay invisible, and
    writes would be lost.
    """

    _opened: tuple[int, int] | None = None

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        self._opened = self._file()
        return connection

    def is_usable(self) -> bool:
        """Return whether the connection is to the current file of this name; called once per request."""
        return self._opened == self._file()

    def _file(self) -> tuple[int, int] | None:
        """Return device and inode; None for an in-memory database and for a missing file."""
        try:
            status = Path(self.settings_dict["NAME"]).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
