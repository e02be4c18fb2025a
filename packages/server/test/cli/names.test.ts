import * as fs from "node:fs"
import * as path from "node:path"
import { expect, it } from "vitest"
import { unpackDirectory } from "../../../core/test/golden/pack.ts"
import { temporaryDirectory } from "../../../core/test/support/temporary.ts"
import { commands } from "../../src/cli/commands.ts"
import { plainText } from "../../src/plainText.ts"
import { startKit as startKafka } from "../kafka/kit.ts"
import { startKit as startMqtt } from "../mqtt/kit.ts"
import { answering, run } from "./support.ts"

/** It clears a terminal's screen, and turns the direction of its text. */
const name = "n\u009B2J\u202E"

const time = "2027-01-15T08:00:00.000Z"
const meta = { cursor: null, hasnext: false }
const stream = {
  name,
  kind: "bound",
  topicId: name,
  filters: [name],
  partitions: 1,
  key: name,
  createdAt: name,
  records: 1,
  bytes: 1,
  retentionMs: -1,
  retentionBytes: -1,
  config: { [name]: name },
  partitionDetails: [],
  warnings: [name]
}
const group = {
  group: name,
  state: name,
  generation: 1,
  knownLag: 1,
  lost: 0,
  unknownPartitions: 0,
  details: { protocol: name, leader: name, emptySince: null, pendingMembers: [name], members: [] },
  offsets: [{ stream: name, partition: 0, offset: 1, logStartOffset: 0, highWatermark: 2, lag: 1, lost: 0 }]
}
const reset = {
  group: name,
  validateOnly: true,
  offsets: [{ stream: name, partition: 0, before: null, after: 1, logStartOffset: 0, highWatermark: 2 }]
}
const transaction = {
  transactionalId: name,
  state: name,
  producerId: 1,
  producerEpoch: 1,
  timeoutMs: 1,
  startedAt: null,
  updatedAt: null,
  partitions: [{ stream: name, partition: 0 }],
  groups: [name]
}
const subscription = { filter: name, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }
const session = {
  clientId: name,
  state: name,
  since: time,
  startedAt: time,
  protocolVersion: 5,
  address: name,
  sessionExpiryMs: 0,
  expiresAt: null,
  keepAliveMs: null,
  willTopic: name,
  subscriptions: 1,
  queued: 1,
  unacknowledged: 0,
  dropped: 0,
  filters: [{ ...subscription, subscriptionId: null }]
}
const streamShare = {
  filter: name,
  group: name,
  stream: name,
  topicFilter: name,
  members: 1,
  connected: 1,
  emptySince: time,
  waiting: 1,
  knownLag: 1,
  lost: 0,
  unknownPartitions: 1,
  untilAt: time,
  memberDetails: [{ clientId: name, state: name, address: name, qos: 1, queued: 1, unacknowledged: 1 }],
  partitions: [{ partition: 0, offset: 1, end: 2, logStartOffset: 0, highWatermark: 2, lag: 1, lost: 0, waiting: 1 }]
}
const retained = {
  topic: name,
  bytes: 1,
  qos: 1,
  clientId: name,
  receivedAt: time,
  expiresAt: null,
  contentType: name,
  responseTopic: name,
  correlationData: null,
  payloadFormat: 1,
  userProperties: [[name, name]],
  payload: Buffer.from(name).toString("base64")
}
const diff = {
  actor: name,
  fromSeq: 1,
  toSeq: 2,
  isSwapped: false,
  changes: [{ path: name, change: "changed", before: name, after: name }],
  events: [],
  hasMoreEvents: false
}

/** The words behind each command that asks over HTTP, and the answer. */
const asking: Readonly<Record<string, readonly [words: ReadonlyArray<string>, answer: object]>> = {
  "streams create": [[name], stream],
  "streams describe": [[name], stream],
  "streams alter": [[name, "--compact"], stream],
  "streams delete": [[name, "--yes"], { topicId: name }],
  "groups describe": [[name], group],
  "groups delete": [[name, "--yes"], { offsets: 1 }],
  "groups reset": [[name, "--to", "earliest", "--yes"], reset],
  "transactions describe": [[name], transaction],
  "transactions abort": [[name, "--yes"], { producerId: 1, partitions: 1, groups: 1 }],
  "sessions describe": [[name], session],
  "sessions kick": [[name], { wasConnected: true, sessionEnded: true }],
  "stream-shares describe": [[name], streamShare],
  "stream-shares delete": [[name, "--yes"], { waiting: 1 }],
  "retained get": [[name], retained],
  "retained purge": [[name, "--yes"], { purged: 1, meta }],
  "topics tree": [[name], { data: [{ topic: name, streams: [name], retainedBytes: 1, unmatched: 1 }], meta }],
  "journal show": [[name], {}],
  "journal state": [[name], { actor: name, seq: 1, state: { [name]: name } }],
  "journal diff": [[name, "1", "2"], diff]
}
const overMqtt: Readonly<Record<string, ReadonlyArray<string>>> = {
  publish: [name, "x", "--retain"],
  subscribe: [name, "--count", "1"]
}
const overKafka: Readonly<Record<string, ReadonlyArray<string>>> = {
  produce: [name, "x"],
  consume: [name],
  "bench kafka": [name]
}
const overDirectories = ["backup", "restore", "doctor"]

/** On a terminal. It says the name, without its controls. */
const expectPlain = async (
  command: string,
  words: ReadonlyArray<string>,
  env: Record<string, string>
): Promise<void> => {
  const { out, err } = await run([...command.split(" "), ...words], true, env)
  const lines = [...out, ...err].flatMap((text) => text.split("\n"))
  expect({ command, lines }).toEqual({ command, lines: lines.map(plainText) })
  expect({ command, defects: err.filter((text) => text.includes("E_DEFECT")) }).toEqual({ command, defects: [] })
  expect({ command, text: lines.join("\n") }).toEqual({ command, text: expect.stringContaining(plainText(name)) })
}

it("every command that is given a name is among these", () => {
  const given = commands.filter(({ positionals }) => positionals.length > 0).map((command) => command.name)
  const tested = [asking, overMqtt, overKafka].flatMap(Object.keys)
  expect([...tested, ...overDirectories].toSorted()).toEqual([...given, "doctor"].toSorted())
})

it("a name that a command is given moves no terminal's cursor", async () => {
  for (const [command, [words, answer]] of Object.entries(asking)) {
    const { url, close } = await answering(answer)
    await expectPlain(command, words, { LOGBROOK_URL: url })
    close()
  }
  const mqtt = await startMqtt()
  const atMqtt = { LOGBROOK_MQTT: `127.0.0.1:${mqtt.port}` }
  for (const [command, words] of Object.entries(overMqtt)) await expectPlain(command, words, atMqtt)
  await mqtt.stop()
  const kafka = await startKafka()
  const atKafka = { LOGBROOK_KAFKA: `127.0.0.1:${kafka.listener.port}` }
  for (const [command, words] of Object.entries(overKafka)) await expectPlain(command, words, atKafka)
  await kafka.close()
})

it("nor does a directory's", async () => {
  const root = temporaryDirectory()
  const [data, copy, restored] = ["data", "copy", "restored"].map((each) => path.join(root, `${each}-${name}`))
  fs.mkdirSync(data!)
  unpackDirectory(fs.readFileSync(path.join(import.meta.dirname, "../golden/states-4.gz")), data!)
  await expectPlain("doctor", ["--data-dir", data!], {})
  await expectPlain("backup", [copy!, "--data-dir", data!], {})
  await expectPlain("restore", [copy!, "--data-dir", restored!], {})
  expect(fs.existsSync(restored!)).toBe(true)
})
