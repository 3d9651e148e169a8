# SoundScape in a container: --target cpu (the default) or --target cuda for NVIDIA GPUs. compose.yaml runs everything.

FROM node:22-bookworm-slim AS node
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM python:3.12-slim-bookworm AS requirements
WORKDIR /app
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY pyproject.toml constraints.txt ./
# The requirements without the project, so that this layer stays cached until they change.
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], \
      *(line for extra in ('postgres', 'redis', 's3') for line in p['optional-dependencies'][extra]), sep='\n')" \
      > requirements.txt

# onnxruntime-gpu also runs on a CPU but is ten times as large.
FROM requirements AS cpu-packages
RUN sed -i 's/^onnxruntime-gpu/onnxruntime/' requirements.txt && pip install -r requirements.txt -c constraints.txt

# CUDA and cuDNN are Python packages; the driver comes from the host (NVIDIA Container Toolkit).
FROM requirements AS cuda-packages
RUN sed -i 's/^onnxruntime-gpu/onnxruntime-gpu[cuda,cudnn]/' requirements.txt && pip install -r requirements.txt -c constraints.txt

# Fetches and verifies the models. Check their licences before you distribute an image.
FROM cpu-packages AS models
ENV XDG_CACHE_HOME=/cache
COPY --from=node /usr/local/bin/node /usr/local/bin/
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
COPY ensemble ensemble
COPY detector detector
COPY pipeline pipeline
RUN python -c "from pipeline.options import install_models; install_models()"

FROM python:3.12-slim-bookworm AS app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/cache SOUNDSCAPE_DATA=/data
WORKDIR /app
RUN useradd --uid 1000 --create-home soundscape && install -d -o soundscape /data /cache
COPY --from=node /app/node_modules node_modules
COPY --from=models --chown=soundscape /cache /cache
COPY manage.py ./
COPY ensemble ensemble
COPY detector detector
COPY pipeline pipeline
COPY webapp webapp
USER 1000
VOLUME /data
EXPOSE 8000
# The web server. The worker runs the same image with another command: see compose.yaml.
CMD ["python", "-m", "webapp", "--host", "0.0.0.0", "--port", "8000"]

FROM app AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=cuda-packages /venv /venv

# `docker build .` builds the last target.
FROM app AS cpu
COPY --from=cpu-packages /venv /venv
