# The exporter with journalctl and ss beside it, not as root. How to run it: README.md, "In a container".
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci --no-audit
COPY tools/bundle.mjs ./tools/
COPY src ./src
RUN npm run build && npm prune --omit=dev --no-audit && rm -rf node_modules/.package-lock.json

FROM debian:bookworm-slim
# systemd for journalctl, which is never started as a service; iproute2 for ss; libstdc++6 for node.
RUN apt-get update \
 && apt-get install -y --no-install-recommends iproute2 libstdc++6 systemd \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
 && useradd --system --uid 10922 --user-group --no-create-home --shell /usr/sbin/nologin ssh-reset-exporter \
 && install -d -o 10922 -g 10922 -m 0700 /var/lib/ssh-reset-exporter
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /build/package.json /opt/ssh-reset-exporter/package.json
COPY --from=build /build/node_modules /opt/ssh-reset-exporter/node_modules
COPY --from=build /build/dist /opt/ssh-reset-exporter/dist
USER 10922:10922
VOLUME /var/lib/ssh-reset-exporter
EXPOSE 10922
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:10922/-/healthy').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/ssh-reset-exporter/dist/cli/main.js"]
CMD ["--state.directory=/var/lib/ssh-reset-exporter"]
