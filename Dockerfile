# Build: docker build --tag wukong-dashboard .
# Run:   docker run --read-only --cap-drop ALL --publish 127.0.0.1:8081:8081 wukong-dashboard demo
#
# The image holds one static file and the public authorities, and runs as nobody in particular, without a shell: the
# health check is the program itself. Kubernetes asks /healthz and /readyz instead (deploy/deployment.yaml).

FROM node:22-bookworm-slim AS node

FROM rust:1.95-slim-bookworm AS build
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /src
ENV WUKONG_TARGET=x86_64-unknown-linux-musl XDG_CACHE_HOME=/cache
# Tools first: they change seldom, and their layer survives a change of the sources.
COPY rust-toolchain.toml ./
COPY scripts scripts
COPY end2end/package.json end2end/package-lock.json end2end/
RUN scripts/setup build
COPY . .
RUN install -D "$(scripts/build)" /out/wukong-dashboard

FROM scratch
# For a kubeconfig, a Prometheus or a Ceph whose certificate a public authority signed.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/wukong-dashboard /wukong-dashboard
USER 65532:65532
# Both the program and its health check read it; a flag given to the program alone would not reach the other.
# Every address of IPv4 and IPv6: clusters have either, or both.
ENV WUKONG_LISTEN=:8081
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/wukong-dashboard", "healthcheck"]
ENTRYPOINT ["/wukong-dashboard"]
