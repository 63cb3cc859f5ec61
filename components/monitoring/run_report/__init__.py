"""The result of a run: a report and a notification."""
