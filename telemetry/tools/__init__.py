"""What looks at telemetry from outside: console, demo, doctor, comparison. No part of the service imports it."""
