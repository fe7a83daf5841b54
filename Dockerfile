# The exporter and the programs that it starts, on an empty root; not as root. How to run it: docs/install-container.md.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci --no-audit
COPY tools/bundle.mjs ./tools/
COPY src ./src
RUN npm run build

FROM debian:bookworm-slim AS root
# systemd for journalctl; busybox for /bin/sh and what systeminformation starts; binutils for strip.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      binutils busybox conntrack ethtool iproute2 libstdc++6 nftables systemd \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY deploy/image/collect.sh /
RUN strip /usr/local/bin/node \
 && mkdir -p /image/usr/bin /image/usr/local/bin /image/etc /image/var/lib && install -d -m 1777 /image/tmp \
 && ln -s usr/bin /image/bin \
 && /collect.sh /image node journalctl ss ip ethtool nft conntrack busybox \
 && for applet in sh cat chmod chown date echo env grep head id ls mkdir ps sed sort tail test uname; do \
      ln -s busybox "/image/usr/bin/$applet"; done \
 && ln -s /opt/ssh-reset-exporter/dist/cli/main.js /image/usr/local/bin/ssh-reset-exporter \
 && cp --parents -t /image /etc/os-release /usr/lib/os-release \
 && echo 'root:x:0:0:root:/:/bin/sh' >/image/etc/passwd && echo 'root:x:0:' >/image/etc/group \
 && echo 'ssh-reset-exporter:x:10922:10922::/:/bin/sh' >>/image/etc/passwd \
 && echo 'ssh-reset-exporter:x:10922:' >>/image/etc/group \
 && install -d -o 10922 -g 10922 -m 0700 /image/var/lib/ssh-reset-exporter

FROM scratch
COPY --from=root /image /
COPY --from=build /build/package.json /opt/ssh-reset-exporter/package.json
# The only package that is not in the bundle.
COPY --from=build /build/node_modules/systeminformation /opt/ssh-reset-exporter/node_modules/systeminformation
COPY --from=build /build/dist /opt/ssh-reset-exporter/dist
COPY LICENSE /usr/share/doc/ssh-reset-exporter/copyright
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ssh-reset-exporter" \
      org.opencontainers.image.description="Tells Prometheus why SSH said \"Connection reset by peer\"" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    STATE_DIRECTORY=/var/lib/ssh-reset-exporter \
    MALLOC_ARENA_MAX=1
USER 10922:10922
VOLUME /var/lib/ssh-reset-exporter
EXPOSE 10922
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:10922/-/healthy').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["ssh-reset-exporter"]
