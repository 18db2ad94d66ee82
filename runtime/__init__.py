"""What every process needs: settings, credentials, logging, telemetry, and what builds it from them."""
