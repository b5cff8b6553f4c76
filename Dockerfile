# The commands of eggseg in a container. On AWS's TensorFlow image, as sagemaker/build_and_push.sh builds it, it trains
# on SageMaker; on the default one it runs on any machine's processor.
ARG BASE=python:3.12-slim
FROM ${BASE}

WORKDIR /opt/eggseg
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY eggseg eggseg
# The package itself, whose setup.cfg bounds what it needs. Without constraints.txt: its TensorFlow and
# NumPy would replace those that AWS's image was built with.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir .

# What the training toolkit starts, where there is one.
COPY sagemaker/entry.py sagemaker/serve/inference.py /opt/ml/code/
ENV SAGEMAKER_PROGRAM=entry.py
# Whoever it runs as has no home.
ENV XDG_CACHE_HOME=/tmp

# SageMaker hands a job folders that only root may write to; nobody else does.
ARG RUN_AS=1000
USER ${RUN_AS}
CMD ["eggseg", "--help"]
