# The rollcall binary, alone on a small base. Build: docker build -t rollcall .
# What browsers load, from npm by lock file.
FROM node:20.20.2-bookworm-slim AS browser
WORKDIR /src
COPY crates/account-keys/browser .
RUN npm ci && node build.mjs

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=browser /src/dist crates/account-keys/browser/dist
RUN cargo build --release --locked --package rollcall --features pg-tls

FROM debian:12.12-slim
# Both directories belong to the user, so that a new volume mounted there does too.
RUN useradd --system --uid 10001 --home-dir /var/lib/rollcall rollcall \
    && install -d -o rollcall -g rollcall -m 0700 /var/lib/rollcall /run/rollcall
COPY --from=build /src/target/release/rollcall /usr/local/bin/rollcall
USER 10001
ENV ROLLCALL_DATA_DIR=/var/lib/rollcall
VOLUME /var/lib/rollcall
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/rollcall"]
CMD ["serve", "--http", "0.0.0.0:8080", "--grpc", "0.0.0.0:8081"]
