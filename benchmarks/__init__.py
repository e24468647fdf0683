"""What only developers measure: memory, import time, and one revision against another."""
