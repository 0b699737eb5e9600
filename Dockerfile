# The image of all our processes. The command decides the role; docs/deployment.md lists them.
#
#   docker build --build-arg PYTHON_DIGEST=sha256:... --tag tekana:0.1.0 .
#
# It runs as an unprivileged user on a read-only root file system, with a tmpfs on /run/tekana (DATA_DIR: heartbeats
# and beat's schedule) and one on /tmp (what libraries put aside). A few megabytes are enough for each.

ARG PYTHON_IMAGE=python:3.13-slim-bookworm
# What the tag stood for when it was tested: sha256:... A release is built with it; without it, the tag decides.
ARG PYTHON_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_PYTHON=/opt/venv/bin/python
WORKDIR /app
# The environment has no pip: nothing is installed into a running container.
RUN python -m venv --without-pip /opt/venv
COPY requirements-tracing.lock requirements-local.lock ./
# With what traces need: a setting switches them on, and an image cannot be added to.
RUN pip install --require-hashes --requirement requirements-tracing.lock
COPY . .
# Setuptools, which only the installation needs, comes by hash as well. The sources stay where they are, as on a
# developer's machine: migrations are read from them.
RUN sed --quiet '/^setuptools==/,/[^\\]$/p' requirements-local.lock > /tmp/build.lock \
    && pip install --require-hashes --no-deps --requirement /tmp/build.lock \
    && pip install --no-deps --no-build-isolation --editable . \
    && pip uninstall --yes setuptools \
    && /opt/venv/bin/python -m compileall -q .

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
ARG PYTHON_IMAGE
ARG PYTHON_DIGEST
LABEL org.opencontainers.image.title="tekana" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.base.digest="${PYTHON_DIGEST}"
RUN useradd --uid 10001 --user-group --no-create-home --no-log-init --shell /usr/sbin/nologin tekana \
    && install --directory --owner=10001 --group=10001 /run/tekana
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    DATA_DIR=/run/tekana API_HOST=0.0.0.0
# A number, so that an orchestrator sees that it is not root's.
USER 10001:10001
EXPOSE 8000
# Tells by the command which role it is, and whether that one does its work (docs/decisions/0014).
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["python", "-m", "alive"]
CMD ["python", "-m", "api"]
