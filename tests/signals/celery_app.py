"""An application of Celery as a project has it, with a broker that is a folder (CELERY_FOLDER)."""

import logging
import os
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_init

from telemetry import lifecycle

folder = Path(os.environ["CELERY_FOLDER"])
app = Celery("shop", broker="filesystem://")
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {
    **dict.fromkeys(("data_folder_in", "data_folder_out"), str(folder / "queue")),
    "control_folder": str(folder / "control"),
}
(folder / "queue").mkdir(exist_ok=True)
logger = logging.getLogger(__name__)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def begin(**_: object) -> None:
    """Record in this process, which serves no request that would begin it."""
    lifecycle.start()


@app.task(name="sell")  # type: ignore[untyped-decorator]
def sell(_customer: str) -> None:
    """Do a task's work."""
    logger.warning("sold")
    (folder / "done").touch()
