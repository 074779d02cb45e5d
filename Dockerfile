# syntax=docker/dockerfile:1
# The image of the server, of `npm run worker` and of the commands: docs/deployment.md.
#
#   build          installs everything, and builds dist/
#   dependencies   the packages that the program loads, and the list of them (SBOM)
#   the last one   both, and the files that the program reads, for a user without rights
#
#   docker build --build-arg VERSION=1.4.0 --build-arg REVISION=$(git rev-parse HEAD) -t strata:1.4.0 .

# The newest Node with long-term support. Another registry or a local image: --build-arg NODE_IMAGE=…
ARG NODE_IMAGE=node:26-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json build.mjs preflight.cjs ./
COPY src src
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
# Parts that need an optional package: mail, uploads, redis, geoip, docs (of local and staging).
ARG OPTIONAL="mail uploads redis geoip"
WORKDIR /app
COPY package.json package-lock.json .npmrc deploy/container/optional-packages.mjs ./
RUN npm ci --omit=dev --no-audit --no-fund \
  && node optional-packages.mjs "$OPTIONAL" | xargs -r npm uninstall --no-save --omit=dev --no-audit --no-fund \
  && npm pkg delete devDependencies \
  && npm sbom --omit=dev --sbom-format=cyclonedx > sbom.cdx.json

FROM ${NODE_IMAGE}
# A user that exists on no machine. As a number, so that Kubernetes can see that it is not root.
RUN groupadd --gid 10001 strata \
  && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin strata \
  && install -d -o 10001 -g 10001 /data
# /data is the only folder that the program writes to; mount a volume there.
ENV NODE_ENV=production \
  APP_ENVIRONMENT=production \
  APP_HOST=0.0.0.0 \
  APP_PORT=8000 \
  APP_MANAGEMENT_PORT=9181 \
  APP_DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=dependencies /app/sbom.cdx.json ./
COPY --from=build /app/dist dist
COPY package.json ./
COPY sql sql
COPY dashboard dashboard
USER 10001:10001
EXPOSE 8000 9181
# Whether the process that supervises the others answers. It reads the port from the settings, as the program does.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["node", "dist/cli/health.js"]
# SIGTERM drains the program: let the platform wait 2 s longer than APP_SHUTDOWN_GRACE_SECONDS (docker stop -t 40).
STOPSIGNAL SIGTERM
# Node is the first process and gets the signals itself. The worker: node --enable-source-maps dist/main-jobs.js
CMD ["node", "--enable-source-maps", "dist/main.js"]

# Last, because they change with every build.
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="strata" \
  org.opencontainers.image.description="A production HTTP backend on bare node:http" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}" \
  org.opencontainers.image.source="${SOURCE}"
