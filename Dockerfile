# The commands of eggseg in a container. Built on AWS's TensorFlow image, by sagemaker/build_and_push.sh, it trains on
# SageMaker; built on the default base image, it runs on the CPU of any machine.
ARG BASE=python:3.12-slim
FROM ${BASE}

WORKDIR /opt/eggseg
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY eggseg eggseg
# This installs the package itself, within the bounds of setup.cfg. Not with constraints.txt: its TensorFlow and NumPy
# would replace those that AWS's image was built with.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir .

# The SageMaker training toolkit, if the base image has it, starts entry.py.
COPY sagemaker/entry.py sagemaker/serve/inference.py /opt/ml/code/
ENV SAGEMAKER_PROGRAM=entry.py
# The user has no home directory.
ENV XDG_CACHE_HOME=/tmp

# Only SageMaker needs root: it gives a job folders that only root may write to.
ARG RUN_AS=1000
USER ${RUN_AS}
CMD ["eggseg", "--help"]
