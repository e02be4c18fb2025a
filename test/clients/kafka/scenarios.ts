import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "vitest"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { KafkaClient } from "../../../bench/load/KafkaClient.ts"
import { patienceMs, type LineProgram } from "../../support/LineProgram.ts"
import type { ServerProcess } from "../../support/server.ts"
import { waitUntil } from "../../support/waitUntil.ts"

/**
 * What a scenario works with. A program of `programs` is given the server's address, and has these verbs:
 *
 * - `metadata topic=`: answers `partitions=N`.
 * - `produce topic= prefix= count= codec=none|gzip|snappy|lz4|zstd idempotent=0|1`: records with the keys `k0`, `k1`… and the values
 *   `PREFIX0`, `PREFIX1`…, a header `source` of the value `matrix`, all acknowledged.
 * - `join member= group= topic=` or `pattern=`: a member of a group reads committed records, from the earliest one on where nothing is
 *   committed. `seen member=` answers `records=KEY/VALUE/HEADER,…`, all that it has read; `leave member=` ends it. It commits what it reads.
 * - `transact topic= id= prefix= count= end=commit|abort`: records as above in one transaction.
 * - `create topic= partitions=`, `alter topic= name= value=` (one setting), `describe topic= name=`: answers `value=`; `delete topic=`.
 * - `offset topic= time=MS`: answers `offset=`, the first one of partition 0 from that time on.
 */
export interface Context {
  readonly server: ServerProcess
  readonly program: LineProgram
  /** Of the client and the scenario: topics, groups and transactional ids begin with it. */
  readonly name: string
}

/** Of the list of groups. */
interface GroupSummary {
  readonly group: string
  readonly state: string
  readonly members: number
}

export interface Scenario {
  readonly feature: string
  readonly run: (context: Context) => Promise<void>
}

const records = 12
/** Long, so that they are smaller compressed. */
const valuePrefix = "value.".repeat(20)

const produce = async (
  { program }: Context,
  topic: string,
  prefix: string,
  codec = "none",
  idempotent: 0 | 1 = 0
): Promise<void> => {
  await program.ask("produce", { topic, prefix, count: records, codec, idempotent })
}

const written = (prefix: string, count = records): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `k${i}/${prefix}${i}/matrix`)

const seenBy = async ({ program }: Context, member: string): Promise<ReadonlyArray<string>> => {
  const text = (await program.ask("seen", { member })).get("records") ?? ""
  return text === "" ? [] : text.split(",")
}

/** All that these members have read, once it is so many records. */
const awaitSeen = async (
  context: Context,
  members: ReadonlyArray<string>,
  count: number
): Promise<ReadonlyArray<string>> => {
  let each: ReadonlyArray<ReadonlyArray<string>> = []
  await waitUntil(`${count} records`, patienceMs, async () => {
    each = await Promise.all(members.map((member) => seenBy(context, member)))
    return each.flat().length >= count
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${each.map((own) => own.length).join(" and ")} were read`, { cause: error })
  })
  return each.flat().toSorted()
}

/** Read by a group of one, which ends then. */
const read = async (context: Context, group: string, from: Readonly<Record<string, string>>, count: number) => {
  const member = `${group}-only`
  await context.program.ask("join", { member, group, ...from })
  const seen = await awaitSeen(context, [member], count)
  await context.program.ask("leave", { member })
  return seen
}

/** The header of the first batch in partition 0. */
const firstBatch = async ({ server }: Context, topic: string): Promise<Uint8Array> => {
  const client = await KafkaClient.connect(server.ports.kafka)
  const options = { maxWaitMs: 0, partitionBytesMax: 1_048_576, bytesMax: 1_048_576 }
  const [fetched] = await client.fetch(topic, new Map([[0, 0]]), options)
  client.close()
  return fetched!.records
}

// --- The features ---

const metadata = async ({ server, program, name }: Context): Promise<void> => {
  await server.createStream(name, { partitions: 3 })
  expect((await program.ask("metadata", { topic: name })).get("partitions")).toBe("3")
}

const keysAndHeaders = async (context: Context): Promise<void> => {
  const { server, name } = context
  await server.createStream(name, { partitions: 3 })
  await produce(context, name, valuePrefix)
  expect(await read(context, name, { topic: name }, records)).toEqual(written(valuePrefix).toSorted())
}

const codecs = ["gzip", "snappy", "lz4", "zstd"]

const compression =
  (codec: string) =>
  async (context: Context): Promise<void> => {
    const { server, name } = context
    await server.createStream(name, { partitions: 1 })
    await produce(context, name, valuePrefix, codec)
    expect(RecordBatch.compression(await firstBatch(context, name))).toBe(codec)
    expect(await read(context, name, { topic: name }, records)).toEqual(written(valuePrefix).toSorted())
  }

const idempotence = async (context: Context): Promise<void> => {
  const { server, name } = context
  await server.createStream(name, { partitions: 1 })
  await produce(context, name, "first", "none", 1)
  await produce(context, name, "second", "none", 1)
  expect(RecordBatch.producerId(await firstBatch(context, name))).toBeGreaterThanOrEqual(0)
  const all = [...written("first"), ...written("second")].toSorted()
  expect(await read(context, name, { topic: name }, all.length)).toEqual(all)
}

const transactions = async (context: Context): Promise<void> => {
  const { server, program, name } = context
  await server.createStream(name, { partitions: 2 })
  for (const [prefix, end] of [
    ["a", "commit"],
    ["b", "abort"],
    ["c", "commit"]
  ] as const) {
    await program.ask("transact", { topic: name, id: name, prefix, count: records, end })
  }
  const committed = [...written("a"), ...written("c")].toSorted()
  expect(await read(context, name, { topic: name }, committed.length)).toEqual(committed)
}

const admin = async ({ server, program, name }: Context): Promise<void> => {
  await program.ask("create", { topic: name, partitions: 2 })
  expect((await program.ask("metadata", { topic: name })).get("partitions")).toBe("2")
  await program.ask("alter", { topic: name, name: "retention.ms", value: "3600000" })
  expect((await program.ask("describe", { topic: name, name: "retention.ms" })).get("value")).toBe("3600000")
  await program.ask("delete", { topic: name })
  await expect(server.get(`/streams/${name}`)).rejects.toThrow("404")
}

/** Longer than a fetch waits: what was under way at the rebalance has ended then, whose records some libraries hand on. */
const fetchMsMax = 1000

/** Until the group is at rest with so many members. */
const awaitMembers = ({ server, name }: Context, count: number): Promise<boolean> =>
  waitUntil(`${count} members of ${name}`, patienceMs, async () => {
    const { data } = await server.get<{ data: ReadonlyArray<GroupSummary> }>("/groups?limit=1000")
    const group = data.find((each) => each.group === name)
    return group?.state === (count === 0 ? "Empty" : "Stable") && group.members === count
  })

/** Two members have a part each, and go one after another; who comes later gets what nobody has read. */
const groups = async (context: Context): Promise<void> => {
  const { server, program, name } = context
  await server.createStream(name, { partitions: 2 })
  const members = [`${name}-a`, `${name}-b`]
  for (const member of members) await program.ask("join", { member, group: name, topic: name })
  await awaitMembers(context, 2)
  await sleep(fetchMsMax)
  await produce(context, name, "first")
  expect(await awaitSeen(context, members, records)).toEqual(written("first").toSorted())
  for (const member of members) expect(await seenBy(context, member)).not.toEqual([])
  for (const [i, member] of members.entries()) {
    await program.ask("leave", { member })
    await awaitMembers(context, 1 - i)
  }
  await produce(context, name, "later")
  expect(await read(context, name, { topic: name }, records)).toEqual(written("later").toSorted())
}

const pattern = async (context: Context): Promise<void> => {
  const { server, name } = context
  for (const each of ["1", "2"]) {
    await server.createStream(`${name}-${each}`, { partitions: 1 })
    await produce(context, `${name}-${each}`, `of${each}-`)
  }
  await server.createStream(`other-${name}-1`, { partitions: 1 })
  await produce(context, `other-${name}-1`, "other")
  const all = [...written("of1-"), ...written("of2-")].toSorted()
  expect(await read(context, name, { pattern: `^${name}-.*` }, all.length)).toEqual(all)
}

const offsetsByTime = async (context: Context): Promise<void> => {
  const { server, program, name } = context
  await server.createStream(name, { partitions: 1 })
  await produce(context, name, "before")
  await sleep(20)
  const time = Date.now()
  await sleep(20)
  await produce(context, name, "after")
  expect((await program.ask("offset", { topic: name, time })).get("offset")).toBe(String(records))
  expect((await program.ask("offset", { topic: name, time: 1 })).get("offset")).toBe("0")
}

export const scenarios: ReadonlyArray<Scenario> = [
  { feature: "metadata", run: metadata },
  { feature: "keys and headers", run: keysAndHeaders },
  ...codecs.map((codec) => ({ feature: codec, run: compression(codec) })),
  { feature: "idempotence", run: idempotence },
  { feature: "transactions", run: transactions },
  { feature: "create, alter, describe and delete topics", run: admin },
  { feature: "groups: two members, commit, resume", run: groups },
  { feature: "regular expressions", run: pattern },
  { feature: "offsets by time", run: offsetsByTime }
]
