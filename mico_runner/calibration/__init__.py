"""Calibrated latency estimates: operators, physical terms, curves fitted to measurements, and their validation on unseen networks."""
