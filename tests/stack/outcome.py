"""What an outage cost: sent against stored."""

from dataclasses import dataclass

from tests.stack.stored import Samples


@dataclass(frozen=True)
class Outcome:
    """Sent and stored, of one run.

    Tempo shows a span once that came twice, so `spans_received` is what it says to have got. Loki keeps one of two
    records that are wholly equal; `records_twice` are those that it does show twice.
    """

    way: str
    sent: int
    failed: int
    spans_each: int
    spans: int
    spans_received: int
    access_records: int
    records_twice: int
    samples: Samples

    def problems(self) -> list[str]:
        """Return one line for each thing that was lost or came twice."""
        found = []
        for what, wanted, have in (
            ("spans", self.sent * self.spans_each, self.spans),
            ("access records", self.sent, self.access_records),
        ):
            if have != wanted:
                found.append(f"{wanted - have} of {wanted} {what} are not stored")
        if self.spans_received > self.spans:
            found.append(f"{self.spans_received - self.spans} spans came twice")
        if self.records_twice:
            found.append(f"{self.records_twice} access records are there twice")
        if self.failed:
            found.append(f"{self.failed} requests failed")
        if self.samples.requests != self.sent:
            found.append(f"the counter says {self.samples.requests} of {self.sent} requests")
        # Remote write drops what was sampled before Alloy's restart: known, and why `otlp` is there.
        if self.way == "otlp" and self.samples.stored != self.samples.expected:
            found.append(f"{self.samples.expected - self.samples.stored} samples are not stored")
        return found

    def line(self) -> str:
        """Return the line of the table."""
        taken = self.samples
        return (
            f"| `{self.way}` | {self.sent} | {self.spans} of {self.sent * self.spans_each}"
            f" | {self.access_records} of {self.sent} | {self.spans_received - self.spans}"
            f" and {self.records_twice} | {taken.stored} of {taken.expected}"
            f" | {taken.largest_gap:.0f} s | {taken.requests} |"
        )


HEADING = (
    "| `ALLOY_METRICS` | requests | spans stored | access records stored | spans and records twice"
    " | samples stored | largest gap | the counter says |\n|-|-|-|-|-|-|-|-|"
)
