"""What the documents name although the part that brings it is not in this tree yet. Empty in a release."""

AWAITED = {
    "docs/comparison.md",
    "manage.py compare",
}
