// What a service does with its data folder, and nothing else: the process that the tests here kill.
// Prints one JSON line when the database is up; SIGTERM stops it. Argument: the data folder.
import { openDataDir } from '../../src/embedded/data-dir.js'
import { startEmbeddedPostgres } from '../../src/embedded/postgres.js'

const folder = await openDataDir(process.argv[2] as string)
const database = await startEmbeddedPostgres({ dataDir: folder.path, progress: (line) => console.error(line) })
folder.announce({ url: 'http://127.0.0.1:8080' })
process.once('SIGTERM', async () => {
  await database.stop()
  folder.close()
  process.exit(0)
})
console.log(JSON.stringify({ pid: process.pid, database: database.pid, url: database.url }))
setInterval(() => {}, 60_000)
