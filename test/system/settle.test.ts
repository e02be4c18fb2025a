import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { connectAsync } from "mqtt"
import { afterEach, expect, it } from "vitest"
import { kafkajsRead } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"

const messages = 6000
const cleanUps: Array<() => Promise<unknown> | void> = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const payload = (i: number): string => `{"sensor":${i % 100},"value":${(i * 7919) % 1000},"n":${i}}`.padEnd(400)

/** kafkajs knows no zstd: what the server compresses, it must get plain. */
const read = async (server: ServerProcess): Promise<ReadonlyArray<string>> => {
  const records = await kafkajsRead(server.kafka, "sensors", messages)
  return records.map(({ value }) => value!.toString()).sort()
}

const names = ["a", "b", "c", "d", "e"]

/** Of five clients two at least write to the same of four partitions: the runs tell what of them is whose. */
const expectPublishers = async (server: ServerProcess): Promise<void> => {
  const api = `${server.url}/api/v1/journal/events`
  const page = await fetch(`${api}?type=RecordsAppended&kind=partition&limit=100`)
  const { data } = (await page.json()) as { data: ReadonlyArray<{ seq: number; cause: { origin: string } }> }
  const { seq, cause } = data.find(({ cause: { origin } }) => origin === "2 publishers")!
  const { event, publishers } = (await (await fetch(`${api}/${seq}`)).json()) as {
    event: { event: { count: number } }
    publishers: ReadonlyArray<{ clientId: string; records: number }>
  }
  expect(cause.origin).toBe("2 publishers")
  expect(publishers.map(({ clientId }) => names.includes(clientId))).toEqual([true, true])
  expect(publishers.reduce((sum, { records }) => sum + records, 0)).toBe(event.event.count)
}

it("a server settles its closed segments, serves them, restarts, is checked, backed up and restored", async () => {
  const server = await ServerProcess.start({ env: { LOGBROOK_JOURNAL_SEGMENT_BYTES: "500KB" } })
  cleanUps.push(() => server.dispose())
  await server.createStream("sensors", { filters: ["sensors/#"], partitions: 4 })
  const clients = await Promise.all(names.map((clientId) => connectAsync(server.mqttUrl, { clientId })))
  const published = (n: number) =>
    clients[n % clients.length]!.publishAsync(`sensors/${n % 100}`, payload(n), { qos: 1 })
  for (let i = 0; i < messages; i += 200) {
    await Promise.all(Array.from({ length: 200 }, (_, k) => published(i + k)))
  }
  await Promise.all(clients.map((client) => client.endAsync()))
  await server.settled(3)
  await expectPublishers(server)
  expect(await server.metric("logbrook_settle_failures_total")).toBe(0)
  expect(await server.metric("logbrook_settle_bytes_out_total")).toBeLessThan(
    (await server.metric("logbrook_settle_bytes_in_total")) / 2
  )
  const sent = Array.from({ length: messages }, (_, i) => payload(i)).sort()
  expect(await read(server)).toEqual(sent)
  const target = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-test-"))
  cleanUps.push(() => fs.rmSync(target, { recursive: true, force: true }))
  const backup = path.join(target, "backup")
  await server.cli("backup", backup, "--data-dir", server.dataDir)
  await server.cli("doctor", "--data-dir", server.dataDir)
  await server.kill()
  await server.start()
  expect(await read(server)).toEqual(sent)
  expect(await server.stop()).toBe(0)
  await server.cli("journal", "verify", "--data-dir", server.dataDir)
  await server.cli("doctor", "--data-dir", server.dataDir)
  const restored = path.join(target, "restored")
  await server.cli("restore", backup, "--data-dir", restored)
  const again = await ServerProcess.start({ dataDir: restored })
  cleanUps.push(() => again.dispose())
  expect(await read(again)).toEqual(sent)
})
