// Whether the service of this container lives, as the exit code: for the image's HEALTHCHECK, where there is no curl.
import { get as getPlain } from 'node:http'
import { get as getTls } from 'node:https'

// As in the service, an empty variable counts as one that is not set.
const { HOST, PORT, EDGE_IPAM_TLS_CERT_FILE } = process.env
const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[HOST] ?? (HOST || '127.0.0.1')
const options = { host, port: PORT || '8080', path: '/livez', timeout: 2_500 }

// The certificate is for the name that others use, and nobody else answers on this address.
const request = EDGE_IPAM_TLS_CERT_FILE ? getTls({ ...options, rejectUnauthorized: false }) : getPlain(options)
request.on('response', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))
request.on('timeout', () => process.exit(1))
request.on('error', () => process.exit(1))
