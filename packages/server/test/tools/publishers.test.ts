import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { noHeaders, type HeaderBlock, type RecordHeader } from "@logbrook/core/Record"
import { expect, it } from "vitest"
import { definitions } from "../../src/Broker.ts"
import { mqttHeaders } from "../../src/streams/PublishRoutes.ts"
import { pastOf, type ShownEvent } from "../../src/tools/journalTools.ts"
import { ShardHarness } from "./ShardHarness.ts"
import { lastEvents, showEvent } from "../support/toolsAtOnce.ts"

/** One turn with a message of each of these clients; null: one without MQTT headers. */
const shown = async (clients: ReadonlyArray<string | null>, bytes: number, otherBatches = 0): Promise<ShownEvent> => {
  const journal = new MemoryJournal(systemClock)
  const harness = new ShardHarness(journal)
  const { shard } = harness
  await harness.createStream("sensors", ["sensors/#"], 1 + otherBatches)
  const publish = (logId: number, clientId: string | null, payloadBytes: number): void => {
    const headers = clientId === null ? noHeaders : mqttHeaders("sensors/a", clientId, 1, false)
    const batch = shard.partitionBatch(logId, `mqtt ${clientId} PUBLISH`)
    batch.records.append(null, Buffer.alloc(payloadBytes), headers, systemClock.nowMs(), [])
    shard.recordsAdded(payloadBytes)
  }
  for (let i = 1; i <= otherBatches; i++) publish(firstLogId + i, "other", 3500)
  for (const clientId of clients) publish(firstLogId, clientId, bytes)
  await shard.drained()
  const past = pastOf(journal, definitions(defaultLimits))
  const [event] = lastEvents(past, 1, { actor: "partition/sensors/0", type: "RecordsAppended" }).events
  return showEvent(past, event!.seq)
}

const firstLogId = 2

it.each([
  ["in the frame", 10, 0],
  ["in a chunk", 100, 16],
  ["in a value of their own", 4000, 0]
])("the records of several publishers tell whose they are: %s", async (_where, bytes, otherBatches) => {
  const { origin, publishers, event } = await shown(["a", "b", "b", "a", null], bytes, otherBatches)
  expect(origin).toBe("3 publishers")
  expect(event.cause).toEqual({ origin: "3 publishers" })
  expect(publishers).toEqual([
    {
      clientId: "a",
      records: 2,
      offsets: [
        [0, 0],
        [3, 3]
      ]
    },
    { clientId: "b", records: 2, offsets: [[1, 2]] },
    { clientId: null, records: 1, offsets: [[4, 4]] }
  ])
})

it("one publisher is named itself", async () => {
  const { origin, publishers } = await shown(["a", "a"], 10)
  expect(origin).toBe("mqtt a PUBLISH")
  expect(publishers).toEqual([{ clientId: "a", records: 2, offsets: [[0, 1]] }])
})

const utf8 = (text: string): Buffer => Buffer.from(text, "utf8")

/** User properties that imitate the server's own headers. */
const imitated: ReadonlyArray<RecordHeader> = [
  [utf8("mqtt.topic"), utf8("sensors/a")],
  [utf8("mqtt.clientid"), utf8("somebody else")],
  [utf8("mqtt.qos"), utf8("1")],
  [utf8("mqtt.retain"), utf8("0")]
]

/** The publishers of one message in a stream of this configuration. */
const publishersOfOne = async (
  config: Array<[string, string]>,
  headers: HeaderBlock,
  own: ReadonlyArray<RecordHeader>
) => {
  const journal = new MemoryJournal(systemClock)
  const harness = new ShardHarness(journal)
  const { shard } = harness
  await harness.createStream("sensors", ["sensors/#"], 1, config)
  shard.partitionBatch(firstLogId, "mqtt a PUBLISH").records.append(null, utf8("x"), headers, systemClock.nowMs(), own)
  shard.recordsAdded(10)
  await shard.drained()
  const past = pastOf(journal, definitions(defaultLimits))
  const [event] = lastEvents(past, 1, { actor: "partition/sensors/0", type: "RecordsAppended" }).events
  return showEvent(past, event!.seq).publishers!.map(({ clientId }) => clientId)
}

it("a client's user properties accuse nobody else", async () => {
  const withHeaders = mqttHeaders("sensors/a", "a", 1, false)
  expect(await publishersOfOne([], withHeaders, imitated)).toEqual(["a"])
  const config: Array<[string, string]> = [["mqtt.headers", "false"]]
  expect(await publishersOfOne(config, noHeaders, imitated)).toEqual([null])
  expect(await publishersOfOne(config, noHeaders, imitated.slice(1))).toEqual([null])
})
