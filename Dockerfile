# The service alone: no embedded database, no compiler, no tests. Takes its settings from the environment
# (docs/operating.md) and needs a DATABASE_URL.
ARG NODE_VERSION=26.10.0

# What the service needs at run time. The embedded PostgreSQL is an optional dependency, and stays out.
FROM node:${NODE_VERSION}-slim AS deps
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:${NODE_VERSION}-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev --omit=optional --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

FROM node:${NODE_VERSION}-slim
LABEL org.opencontainers.image.title="edge-ipam" \
      org.opencontainers.image.description="Cluster-unique IP addresses for KubeEdge edge nodes" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=deps /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY bin bin
COPY join join
COPY migrations migrations
# By number, so that an orchestrator can see that it is not root. Nothing here belongs to it, and it writes no file.
USER 1000:1000
EXPOSE 8080
# Whether the process lives, not whether it is ready: a database that is away is not mended by a new container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/bin/edge-ipam.mjs"]
CMD ["serve"]
