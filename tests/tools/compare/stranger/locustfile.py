"""What customers do, as their load tests have it."""

import uuid

from locust import FastHttpUser, HttpUser, TaskSet, between, task


class Visit(TaskSet):
    wait_time = between(0, 0.01)

    @task
    def look(self) -> None:
        self.client.get("/customers")
        self.interrupt()  # type: ignore[no-untyped-call]


class Customer(HttpUser):
    """Looks, comes back, and sometimes brings another."""

    wait_time = between(5, 10)
    weight = 3
    tasks = [Visit]  # noqa: RUF012

    def on_start(self) -> None:
        self.client.get("/customers", headers={"Authorization": "Bearer abc"})

    @task
    def bring(self) -> None:
        made = self.client.post("/customers", json={"name": f"customer-{uuid.uuid4()}"})
        assert made.json()["id"]
        with self.client.get("/nothing/here", catch_response=True) as missing:
            missing.success()


class Visitor(FastHttpUser):
    @task
    def look(self) -> None:
        self.client.get("/customers")
