# The page for a lab machine: docs/deploy.md. CPU by default; for a GPU build with --build-arg TORCH_INDEX=...cu128
FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN useradd --create-home stamp
WORKDIR /home/stamp/app
COPY requirements.txt .
RUN pip install --no-cache-dir torch==2.13.0 --index-url $TORCH_INDEX && pip install --no-cache-dir -r requirements.txt
# Readable whatever the modes of the files here are.
COPY --chown=stamp:stamp . .
USER stamp
# A volume mounted here belongs to whoever owns the folder.
RUN mkdir -p /home/stamp/.cache/huggingface
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
EXPOSE 7860
HEALTHCHECK --start-period=10m CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health')"
# Not through a shell: SIGTERM has to reach the page.
CMD ["python", "app.py"]
