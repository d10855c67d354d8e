"""Input: OTLP over gRPC and HTTP, Prometheus scrapes, and faults injected on demand."""
