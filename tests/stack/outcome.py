"""What an outage cost: sent against stored."""

from dataclasses import dataclass

from tests.stack.stored import Samples


@dataclass(frozen=True)
class Outcome:
    """Sent and stored, of one run. `received` are the spans and records that the backends say they have got."""

    way: str
    sent: int
    failed: int
    spans_each: int
    spans: int
    spans_received: int
    access_records: int
    records: int
    records_received: int
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
        for what, stored, arrived in (
            ("spans", self.spans, self.spans_received),
            ("records", self.records, self.records_received),
        ):
            if arrived > stored:
                found.append(f"{arrived - stored} {what} came twice")
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
            f" and {self.records_received - self.records} | {taken.stored} of {taken.expected}"
            f" | {taken.largest_gap:.0f} s | {taken.requests} |"
        )


HEADING = (
    "| `ALLOY_METRICS` | requests | spans stored | access records stored | spans and records that came twice"
    " | samples stored | largest gap | the counter says |\n|-|-|-|-|-|-|-|-|"
)
