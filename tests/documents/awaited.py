"""What the documents name although the part that brings it is not in this tree yet. Empty in a release."""

AWAITED = {
    "docs/alerts.md",
    "docs/comparison.md",
    "docs/console.md",
    "docs/dashboards.md",
    "docs/doctor.md",
    "manage.py doctor",
}
