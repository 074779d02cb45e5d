# syntax=docker/dockerfile:1
# Builds with everything, runs with the three runtime packages, as a user without rights.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json build.mjs preflight.cjs ./
COPY src src
RUN npm run build

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production APP_ENVIRONMENT=production APP_HOST=0.0.0.0 APP_PORT=8000
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
COPY sql sql
COPY dashboard dashboard
USER node
EXPOSE 8000
# Of the management port, which answers while every worker is busy. With APP_MANAGEMENT_PORT=off it needs another.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.APP_MANAGEMENT_PORT || 9181) + '/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM drains; give the container longer than APP_SHUTDOWN_GRACE_SECONDS (docker stop -t 40).
STOPSIGNAL SIGTERM
CMD ["node", "--enable-source-maps", "dist/main.js"]
