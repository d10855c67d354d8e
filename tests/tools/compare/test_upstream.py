"""The set-ups without our telemetry: what they keep is counted, what they lose is shown, and neither fails a run."""

import importlib.util
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from telemetry.tools.compare.counts.scrapes import Scrapes
from telemetry.tools.compare.scenarios.contradictions import verdict
from telemetry.tools.compare.setups.route import VARIANTS
from telemetry.tools.compare.upstream import project
from telemetry.tools.compare.upstream.sentry_sink import SentrySink
from tests.support.answering import Answering, Query
from tests.support.service import ROOT

Measure = Callable[..., dict[str, Any]]

UPSTREAM = [key for key, variant in VARIANTS.items() if variant.upstream]


def check_kept(run: dict[str, Any]) -> None:
    """Check that every signal of a set-up was stored as often as it was sent."""
    accounts = {one["signal"]: one for one in run["accounts"]}
    assert accounts.keys() == VARIANTS[run["key"]].signals
    for signal, account in accounts.items():
        assert account["stored"] == account["sent"] > 20, (run["key"], signal)


@pytest.mark.timeout(400)
def test_what_others_keep_is_counted(measure: Measure) -> None:
    keys = [key for key in UPSTREAM if key != "contrib"]
    arguments = ("--faults", "calm", "--collector", "none", "--duration", "1", "--variants", *keys)
    report = measure("--scenarios", "loss", "scrapes", *arguments)
    assert (report["ok"], report["complete"], report["goals"]) == (True, True, []), report["problems"]
    assert [run["key"] for run in report["loss"]["runs"]] == keys
    for run in report["loss"]["runs"]:
        check_kept(run)
    scraped = {one["key"]: one for one in report["scrapes"]["variants"]}  # of two workers
    assert scraped.keys() == {"contrib-direct", "django-prometheus"}
    assert (scraped["django-prometheus"]["short"], scraped["django-prometheus"]["went_back"]) == (0, 0)
    # Whether it goes back, too, is chance: which worker answers, and how far apart their counts are.
    assert scraped["contrib-direct"]["short"] > 0
    assert {one["variant"] for one in report["setup"]["sources"]} == {VARIANTS[key].title for key in keys}


@pytest.mark.timeout(400)
def test_what_others_lose_with_a_killed_worker_is_shown(measure: Measure) -> None:
    arguments = ["--collector", "none", "--duration", "4", "--workers", "2", "--variants", "contrib"]
    arguments += ["--set", "OTEL_BSP_SCHEDULE_DELAY=5000"]  # the default: batches wait when the worker is killed
    report = measure("--scenarios", "loss", "--faults", "calm", "killed", *arguments)
    assert (report["ok"], report["complete"], report["goals"]) == (True, True, []), report["problems"]
    calm, killed = report["loss"]["runs"]
    check_kept(calm)
    assert any(account["lost"] for account in killed["accounts"])


def test_set_ups_have_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(project.GUNICORN, str(ROOT / "deploy" / "gunicorn.conf.py"))
    found = project.gunicorn_configuration()
    assert found["workers"] == 2
    assert {"pre_fork"} == {name for name, value in found.items() if callable(value)} - {"Any"}
    for key in UPSTREAM:
        assert VARIANTS[key].env(1)["TELEMETRY_MODE"] == "off"


@pytest.mark.parametrize("key", UPSTREAM)
def test_every_set_up_names_who_says_so(key: str) -> None:
    upstream = VARIANTS[key].upstream
    assert upstream is not None
    assert upstream.sources
    assert all(source.url.startswith("https://") and source.sentence for source in upstream.sources)
    assert upstream.missing == ()
    for module in filter(None, (upstream.gunicorn, upstream.application, upstream.settings)):
        assert importlib.util.find_spec(module)


def test_sentry_is_counted_by_transactions_spans_and_log_records() -> None:
    import sentry_sdk

    with SentrySink("access", ignored="/livez") as sink:
        sentry_sdk.init(
            dsn=f"http://key@127.0.0.1:{sink.port}/1",
            traces_sample_rate=1.0,
            enable_logs=True,
            auto_enabling_integrations=False,  # those of all installed packages are imported slowly
        )
        try:
            with sentry_sdk.start_transaction(name="request"):
                for name in ("access", "other"):
                    # Not as an error: an error is sent at once, and the SDK makes a span of its own request.
                    logging.getLogger(name).warning("said")
                with sentry_sdk.start_span(name="query"):
                    pass
            sentry_sdk.flush(20)
        finally:
            sentry_sdk.init(auto_enabling_integrations=False)
    assert (sink.transactions, sink.spans, sink.access, sink.log_records) == (1, 2, 1, 2)
    probe = json.dumps({"request": {"url": "http://127.0.0.1:1/livez"}}).encode()
    sink.take(b"{}\n" + json.dumps({"type": "transaction", "length": len(probe)}).encode() + b"\n" + probe + b"\n")
    assert sink.transactions == 1
    with sink.deferred():
        sink.receive(b'{}\n{"type": "transaction"}\n{}\n', "")
        assert sink.transactions == 1
    assert sink.transactions == 2


def test_scrape_adds_the_series_that_count_requests() -> None:
    body = 'a_count{view="x"} 3.0\na_count{view="metrics"} 5.0\na_counter 9\na_count{view="y"} 1e2\n'
    with Answering({"/metrics": body}) as server:
        found = Scrapes(server.port, "/metrics", "a_count", 'view="metrics"').scrape()
    assert found is not None
    assert (found.counted, found.size) == (103, len(body))


def test_last_scrape_is_the_one_that_began_last() -> None:
    asked, later = Event(), Event()

    def answer(_: Query) -> str:
        if asked.is_set():
            return "a_count 2\n"
        asked.set()
        later.wait(0.5)
        return "a_count 1\n"

    with Answering({"/metrics": answer}) as server, ThreadPoolExecutor(1) as threads:
        scrapes = Scrapes(server.port, "/metrics", "a_count")
        first = threads.submit(scrapes.scrape)
        assert asked.wait(30)
        scrapes.scrape()
        later.set()
        first.result(30)
    assert [answer.counted for answer in scrapes.answers] == [1, 2]


def test_scrapes_that_contradict_each_other_are_counted() -> None:
    counted = [(10, 10), (20, 8), (30, 31), (40, 20)]
    found = verdict([{"made": made, "counted": count} for made, count in counted])
    assert found == {"short": 2, "went_back": 2, "worst_missing": 0.6}


def test_settings_of_a_set_up_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(project.SETTINGS, "userapi.settings")
    monkeypatch.setenv(project.DATABASE_NAME, str(tmp_path / "copy"))
    found = project.settings()
    assert found["ROOT_URLCONF"] == "userapi.urls"
    assert found["DATABASES"]["default"]["NAME"] == str(tmp_path / "copy")
