# The service alone: no embedded database, no compiler, no tests, and of the system nothing but Node and the libraries it
# is linked with. Takes its settings from the environment (README.md) and needs a DATABASE_URL.
#
# The digest decides, the tag is for people. Another image of Node: --build-arg NODE_IMAGE=…
ARG NODE_IMAGE=node:26.10.0-slim@sha256:ec7758ee051e457b468b32bde57b0879010b325bb9862718e9615225ce4aaae1

# What the service needs at run time. The embedded PostgreSQL is an optional dependency, and stays out.
FROM ${NODE_IMAGE} AS deps
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev --omit=optional --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

# The file system of the image: no shell, no package manager. A resolver of names asks /etc/hosts first, then DNS.
# The last command sees to it that no library is missing: a pipe does not tell.
FROM ${NODE_IMAGE} AS system
WORKDIR /system
RUN mkdir -p usr/local/bin etc \
    && cp "$(command -v node)" usr/local/bin/node \
    && ldd usr/local/bin/node | grep -o '/[^ ]*' | xargs -I '{}' cp --parents --dereference '{}' . \
    && echo 'hosts: files dns' > etc/nsswitch.conf \
    && chroot . /usr/local/bin/node --version

FROM scratch
LABEL org.opencontainers.image.title="edge-ipam" \
      org.opencontainers.image.description="Cluster-unique IP addresses for KubeEdge edge nodes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=system /system /
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
# Whether the process lives, not whether it is ready: a database that is away is not mended by a new container. It listens
# only once the database is migrated: for a migration of more than a minute see "Start" in docs/operating.md.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/node", "/app/bin/healthy.mjs"]
ENTRYPOINT ["/usr/local/bin/node", "/app/bin/edge-ipam.mjs"]
CMD ["serve"]
