"""The vendor's contract: fields, answers, callbacks, times, identifiers, error codes and signatures."""
