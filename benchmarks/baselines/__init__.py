"""The methods STAMP is compared with: how they write or predict masks, and how they are trained."""
