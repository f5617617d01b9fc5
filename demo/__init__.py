"""The Gradio page. The only package that imports gradio; importing it loads no model and no torch."""
