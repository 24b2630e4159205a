# The base image is named here and nowhere else. docs/deploy.md says how to pin its digest.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# requirements-extras.txt has the packages for Sentry and OpenTelemetry, too.
ARG REQUIREMENTS=requirements.txt
WORKDIR /opt/tocsin
COPY ${REQUIREMENTS} requirements.txt
# Only wheels whose hashes are pinned: nothing is compiled, and nothing is taken from elsewhere.
RUN python -m venv venv \
    && venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
       --require-hashes --only-binary :all: -r requirements.txt
COPY run_bot.py LICENSE ./
COPY bot bot
COPY storage storage
COPY sandbox sandbox
# The file system is read-only at run time, so Python cannot save compiled code then.
RUN venv/bin/python -m compileall -q bot storage sandbox

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/tocsin /opt/tocsin
# A user id of no user in passwd, and not root; any other id works too.
USER 10001:10001
WORKDIR /opt/tocsin
ENV HTTP_HOST=0.0.0.0 \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 3000
# Docker and Compose show the result. Kubernetes ignores it and has probes of its own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/opt/tocsin/venv/bin/python", "-c", \
         "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('HTTP_PORT') or 3000}/healthz\", timeout=4)"]
ENTRYPOINT ["/opt/tocsin/venv/bin/python", "/opt/tocsin/run_bot.py"]
CMD ["serve"]
