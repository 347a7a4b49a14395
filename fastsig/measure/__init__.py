"""What measures: accuracy, speed, and the thresholds of this machine."""
