# The production image: NVIDIA's base image, Python, the package with pinned versions, and vLLM in an environment of its
# own.
#
#   docker build -t auditor .
#   docker run --rm auditor demo                              the check: the pocket world, without GPU and network
#   docker run --rm --gpus all auditor --profile hub doctor   what is still missing on this machine
#
# docs/cluster.md says how folders are mounted, and what of this file was tried and how.
#
# A base image is enough: the wheels of torch and vLLM bring CUDA's libraries, so it adds only the compatibility library
# for older drivers. Any other image of Debian or Ubuntu with Python 3.11 or newer does, as far as that is not needed.
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04

FROM ${CUDA_IMAGE} AS python
# gcc and the Python headers: Triton compiles a small launcher the first time a kernel runs.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates gcc libc6-dev python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

# vLLM pins its own torch and transformers, so it never shares an environment with the package.
FROM python AS vllm
COPY constraints-vllm.txt /tmp/
RUN python3 -m venv /opt/vllm \
    && /opt/vllm/bin/pip install --constraint /tmp/constraints-vllm.txt vllm

FROM python AS package
WORKDIR /src
RUN python3 -m venv /opt/auditor
# Dependencies first: a change of our own code then reuses this layer.
COPY pyproject.toml constraints.txt ./
RUN /opt/auditor/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/requirements.txt \
    && /opt/auditor/bin/pip install --constraint constraints.txt --requirement /tmp/requirements.txt
COPY . .
RUN /opt/auditor/bin/pip install --constraint constraints.txt .

FROM python AS final
# Everybody may write to these folders, so that the image also runs as the owner of what is mounted (--user).
RUN useradd --no-create-home --home-dir /home/auditor --uid 10001 auditor \
    && install -d -m 1777 -o auditor -g auditor /work /cache /home/auditor
COPY --from=vllm /opt/vllm /opt/vllm
COPY --from=package /opt/auditor /opt/auditor
COPY --chown=auditor:auditor jobs /opt/jobs
COPY --chown=auditor:auditor slurm /opt/slurm
# HOME and USER stand for users whom the image does not know.
ENV PATH=/opt/auditor/bin:$PATH \
    HOME=/home/auditor \
    USER=auditor \
    HF_HOME=/cache/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    TOKENIZERS_PARALLELISM=false \
    VLLM_NO_USAGE_STATS=1
# No AUDITOR_* variable here: it would beat the auditor.toml of the run. The work folder is .auditor in the current one.
# GPU tasks read what was fetched before: start them with HF_HUB_OFFLINE=1 (slurm/audit.sbatch does).
USER auditor
WORKDIR /work
VOLUME ["/work", "/cache"]
ENTRYPOINT ["auditor"]
CMD ["--help"]
