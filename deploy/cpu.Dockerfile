# ShotStream without a GPU: docker build -f deploy/cpu.Dockerfile -t shotstream:cpu .
FROM python:3.11-slim

# what skia (drawn stories) and OpenCV (cuts of films) load
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libfontconfig1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /shotstream
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN pip install --no-cache-dir "$(grep '^torch==' constraints.txt)" --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir --constraint constraints.txt ".[serve,postgres,world,data,evaluate,train,wan,cluster]"

RUN useradd --create-home shotstream && mkdir /library && chown shotstream /library
USER shotstream
WORKDIR /home/shotstream
VOLUME /library
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["shotstream"]
CMD ["studio", "--host", "0.0.0.0", "--library", "/library", "--no-open"]
