"""What comes in: OTLP over gRPC and HTTP, Prometheus scrapes, and the faults that are injected on demand."""
