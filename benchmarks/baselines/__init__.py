"""The methods STAMP is compared with: how they write or predict masks. `benchmarks.training` trains them."""
