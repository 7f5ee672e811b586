# ShotStream with NVIDIA GPUs: docker build -f deploy/cuda.Dockerfile -t shotstream:cuda .
# torch brings its own CUDA; the host needs the driver and the NVIDIA Container Toolkit (docker run --gpus all).
FROM python:3.11-slim

# what skia and OpenCV load, and the compiler that torch.compile needs
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libfontconfig1 libglib2.0-0 gcc g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /shotstream
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN pip install --no-cache-dir "$(grep '^torch==' constraints.txt)" \
    && pip install --no-cache-dir --constraint constraints.txt ".[serve,postgres,world,data,evaluate,train,wan,cluster]"

RUN useradd --create-home shotstream && mkdir /library /models && chown shotstream /library /models
USER shotstream
WORKDIR /home/shotstream
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME ["/library", "/models"]
EXPOSE 8000
HEALTHCHECK --start-period=10m \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["shotstream"]
CMD ["studio", "--host", "0.0.0.0", "--library", "/library", "--model", "/models/wan", "--no-open"]
