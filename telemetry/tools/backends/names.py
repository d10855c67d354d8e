"""Remedies for a host name that cannot be resolved."""

from pathlib import Path

#: Names in the Compose network that are not those of a container, and the container behind each.
_ALIASES = {"traces": "tempo (or jaeger)"}
_MARKS_OF_A_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))


def in_container() -> bool:
    """Whether this process runs in a container of Docker or Podman."""
    return any(mark.exists() for mark in _MARKS_OF_A_CONTAINER)


def unresolved_remedy(host: str, where: str) -> str:
    """Return the remedy for a host that has no address; `where` names what contains it, such as a variable."""
    if "." in host or ":" in host:
        return f"correct the host in {where}"
    if in_container():
        # Docker does not resolve the name of a container that is not running.
        container = _ALIASES.get(host, host)
        return (
            f"most likely its container is not running: docker start {container} (docker ps --all shows its state); "
            f"otherwise correct the host in {where}"
        )
    return f"correct the host in {where}; Compose's service names resolve only in its network: run make verify"
