"""The methods STAMP is compared with: how they write or predict masks. How they are trained: `benchmarks.training`."""
