# mico-run with what runs on the host: docker build -t mico-run . && docker run --rm -v "$PWD:/work" mico-run quickstart
FROM python:3.11-slim-bookworm
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt /src
WORKDIR /work
ENTRYPOINT ["mico-run"]
