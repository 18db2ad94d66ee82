"""What every process needs around its work: settings, logging, redaction, telemetry."""
