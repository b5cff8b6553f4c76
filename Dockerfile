# The commands of eggseg in a container, on the processor.
FROM python:3.12-slim
WORKDIR /opt/eggseg
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY eggseg eggseg
RUN pip install --no-cache-dir '.[pretrained]'
ENTRYPOINT ["eggseg"]
