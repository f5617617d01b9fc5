"""What a trained checkpoint can do, measured, and its model card."""
