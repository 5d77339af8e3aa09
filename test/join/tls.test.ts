import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { makeDevice, missing, TOKEN } from './device.js'

t.test('a certificate of a private authority', { skip: missing('openssl', 'curl', 'wget') ?? false }, async (t) => {
  for (const client of ['curl', 'wget'] as const) {
    const device = makeDevice(t, { client })
    const key = join(device.folder, 'key.pem')
    const certificate = join(device.folder, 'certificate.pem')
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=ipam',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    )
    let asked = 0
    const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (_request, response) => {
      asked++
      response.writeHead(201).end('10.213.0.7\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => void server.close())
    const args = ['--server', `https://127.0.0.1:${(server.address() as AddressInfo).port}`, '--node-name', 'edge-1']
    const refused = await device.run(args, { env: { EDGE_IPAM_TOKEN: TOKEN } })
    t.match(
      refused,
      {
        code: 6,
        stderr: /^join\.sh: the certificate of \S+ is not trusted[^\n]*; give its authority with --ca-file FILE\n$/,
      },
      client,
    )
    t.equal(asked, 0, 'the token was not sent')
    const trusted = await device.run([...args, '--ca-file', certificate], { env: { EDGE_IPAM_TOKEN: TOKEN } })
    t.match(trusted, { code: 0, stderr: '' }, client)
    writeFileSync(certificate, 'not a certificate\n')
    t.match(
      await device.run([...args, '--ca-file', certificate], { env: { EDGE_IPAM_TOKEN: TOKEN } }),
      { code: 6 },
      client,
    )
  }
})
