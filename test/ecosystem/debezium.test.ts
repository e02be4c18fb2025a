import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kcatRead } from "../support/kcat.ts"
import { ServerProcess } from "../support/server.ts"
import { ConnectWorker } from "./ConnectWorker.ts"
import { cache, EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"
import { Postgres } from "./Postgres.ts"

const waitMsMax = 180_000
const topic = "shop.public.orders"
const rows = 500
/** What is done to the rows while no worker runs, and what becomes of it: a deletion is followed by a tombstone. */
const changes = [
  "UPDATE orders SET note = 'changed' WHERE id <= 100",
  "DELETE FROM orders WHERE id > 450",
  "INSERT INTO orders SELECT n, 'late' FROM generate_series(501, 600) n"
]
const changed = { r: rows, u: 100, d: 50, tombstone: 50, c: 100 }
const total = Object.values(changed).reduce((sum, count) => sum + count, 0)
const noteOf = (id: number): string => (id <= 100 ? "changed" : id > rows ? "late" : "new")
const remaining = Array.from({ length: 600 }, (_, n) => n + 1).filter((id) => id <= 450 || id > rows)

interface Change {
  readonly op: "r" | "u" | "d" | "c"
  readonly after: { readonly id: number; readonly note: string } | null
}

const parsed = (bytes: Buffer): unknown => JSON.parse(bytes.toString("utf8"))

describe("Debezium PostgreSQL", () => {
  let server: ServerProcess
  let postgres: Postgres
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-debezium-"))

  const start = (): Promise<ConnectWorker> =>
    ConnectWorker.start(server.kafka, directory, { properties: { "plugin.path": path.join(directory, "plugins") } })

  /** By the row's id; null: a tombstone. In the order of each row. */
  const captured = async (): Promise<ReadonlyArray<readonly [id: number, change: Change | null]>> => {
    return (await kcatRead(server.kafka, topic)).map(({ key, value }) => [
      (parsed(key!) as { id: number }).id,
      value === null || value.length === 0 ? null : (parsed(value) as Change)
    ])
  }

  beforeAll(async () => {
    await Promise.all(["connect", "debezium"].map(prepare))
    fs.mkdirSync(path.join(directory, "plugins"))
    fs.symlinkSync(path.join(cache, "debezium"), path.join(directory, "plugins/debezium"))
    postgres = await Postgres.start()
    await postgres.run(
      "CREATE TABLE orders (id INT PRIMARY KEY, note TEXT)",
      `INSERT INTO orders SELECT n, 'new' FROM generate_series(1, ${rows}) n`
    )
    server = await ServerProcess.start()
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    await postgres?.stop()
    fs.rmSync(directory, { recursive: true, force: true })
    await server?.dispose()
  })

  it("captures every row and every change once, also those that came while no worker ran", async () => {
    const json = "org.apache.kafka.connect.json.JsonConverter"
    const first = await start()
    await first.run("shop", {
      "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
      "plugin.name": "pgoutput",
      "database.hostname": "127.0.0.1",
      "database.port": String(postgres.port),
      "database.user": "postgres",
      "database.password": "none",
      "database.dbname": "postgres",
      "topic.prefix": "shop",
      "table.include.list": "public.orders",
      "topic.creation.default.partitions": "3",
      "topic.creation.default.replication.factor": "1",
      "key.converter": json,
      "key.converter.schemas.enable": "false",
      "value.converter": json,
      "value.converter.schemas.enable": "false"
    })
    const isThere = async (): Promise<boolean> =>
      (await server.get<{ data: ReadonlyArray<{ name: string }> }>("/streams")).data.some(({ name }) => name === topic)
    await first.process.until(
      "all rows are captured",
      waitMsMax,
      async () => (await isThere()) && (await captured()).length >= rows
    )
    await first.process.stop()
    await postgres.run(...changes)
    const second = await start()
    await second.process.until("all changes are captured", waitMsMax, async () => (await captured()).length >= total)
    await second.process.stop()

    const records = await captured()
    const counts = Object.entries(Object.groupBy(records, ([, change]) => change?.op ?? "tombstone"))
    expect(Object.fromEntries(counts.map(([op, some]) => [op, some!.length]))).toEqual(changed)
    const last = new Map(records.map(([id, change]) => [id, change?.after?.note]))
    const alive = [...last].filter(([, note]) => note !== undefined).toSorted(([one], [other]) => one - other)
    expect(alive).toEqual(remaining.map((id) => [id, noteOf(id)]))
    await expectNoViolations(server)
  })
})
