"""`python -m telemetry.tools.compare.load.closed_loop JOB`: Locust's users, sending again after each answer."""

import sys
from collections import Counter
from itertools import count
from time import perf_counter, time

from gevent.pool import Group
from locust import FastHttpUser, task
from locust.env import Environment
from locust.exception import StopUser

from telemetry.tools.compare.load.generator import Done, Job, serve
from telemetry.tools.compare.load.mix import ANSWER_SECONDS, Mix, is_right


class _Tally:
    """The results of all users until the deadline."""

    def __init__(self, job: Job) -> None:
        self.mix = Mix(job.users, job.given)
        self.numbers = count()
        self.deadline = perf_counter() + job.seconds
        self.latencies: list[float] = []
        self.begins: list[float] = []
        self.ends: list[float] = []
        self.wrong: Counter[str] = Counter()
        self.failed = 0


def _user(tally: _Tally, port: int) -> type[FastHttpUser]:
    class Visitor(FastHttpUser):
        """Ends by itself, between two requests: if Locust stopped it, a request in flight would not be counted."""

        host = f"http://127.0.0.1:{port}"
        # A new connection for each request, as in the open loop: `sync` workers have no keep-alive.
        default_headers = {"Connection": "close", "Content-Type": "application/json"}  # noqa: RUF012
        network_timeout = connection_timeout = ANSWER_SECONDS

        @task
        def ask(self) -> None:
            """Send the next request."""
            if perf_counter() >= tally.deadline:
                raise StopUser
            request = tally.mix.request(next(tally.numbers))
            began, begin = perf_counter(), time()
            with self.client.request(
                request.method, request.path, data=request.body or None, catch_response=True, allow_redirects=False
            ) as response:
                response.success()  # statuses are counted here, against the expected ones
            tally.begins.append(begin)
            tally.ends.append(time())
            if is_right(response.status_code, request.expected):
                tally.latencies.append(perf_counter() - began)
            elif response.status_code:
                tally.wrong[str(response.status_code)] += 1
            else:
                tally.failed += 1

    return Visitor


def run(job: Job) -> Done:
    """Run `clients` users until the deadline."""
    tally = _Tally(job)
    environment = Environment(user_classes=[_user(tally, job.port)])
    runner = environment.create_local_runner()
    users = Group()
    began = perf_counter()
    tally.deadline = began + job.seconds
    for _ in range(job.clients):
        # Without Locust's runner, which starts and stops users at its own times.
        environment.user_classes[0](environment).start(users)
    users.join()
    seconds = perf_counter() - began
    runner.quit()
    return Done(
        seconds=seconds,
        answered=len(tally.latencies),
        wrong=dict(tally.wrong),
        failed=tally.failed,
        latencies=tally.latencies,
        begins=tally.begins,
        ends=tally.ends,
    )


if __name__ == "__main__":
    serve(sys.argv[1], run)
