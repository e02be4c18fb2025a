import { randomBytes } from "node:crypto"
import { defaultLimits } from "@logbrook/core/Limits"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddOffsetsToTxn } from "@logbrook/protocols/kafka/messages/25_AddOffsetsToTxn"
import type { RequestInputOf } from "@logbrook/protocols/kafka/Schema"
import { type Battlefield, sleep } from "../Attack.ts"
import { KafkaPipe } from "../../crash/KafkaPipe.ts"
import { OneByOne, type Step } from "./Filled.ts"

const {
  groupMetadataBytesMax,
  groupOffsetMetadataLengthMax,
  partitionsPerStreamMax,
  clientIdBytesMax,
  topicBytesMax,
  topicLevelsMax,
  userPropertiesMax,
  userPropertiesBytesMax,
  offlineQueueMessagesMax
} = defaultLimits

/** Behind the point at which nothing more is taken, so often is it tried. */
const refusalsWanted = 5
/** A first generation waits 3 s for more members. */
const joinMs = 4000
const longExpirySeconds = 7 * 24 * 3600

const apiOf = (port: number) => (path: string, body: object) =>
  fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })

/** Streams of as many partitions as one may have. */
const streams: Step = async (field) => {
  const post = apiOf(field.ports.http)
  for (let n = 0, refused = 0; refused < refusalsWanted && !field.signal.aborted; n++) {
    const filters = n % 2 === 0 ? [] : [`streams/${n}/#`]
    const { ok } = await post("/streams", { name: `s-${n}`, partitions: partitionsPerStreamMax, filters })
    field.count(ok ? "streams" : "streams refused")
    if (!ok) refused++
  }
}

const joinOf = (group: number, metadataBytes: number) => ({
  groupId: `members-${group}`,
  sessionTimeoutMs: 300_000,
  rebalanceTimeoutMs: 300_000,
  memberId: "",
  groupInstanceId: null,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: randomBytes(metadataBytes) }],
  reason: null
})

/** Members with as much metadata as one may have, in groups of their own: half of what groups may have. */
const members: Step = async (field) => {
  for (let group = 0; group < 8 && !field.signal.aborted; group++) {
    // Its connection stays: it is nobody's to end before the server does.
    const pipe = await KafkaPipe.connect(field.ports.kafka)
    await pipe.send(JoinGroup, 3, joinOf(group, groupMetadataBytesMax - 100), ({ errorCode }) => {
      field.count(errorCode === 0 ? "members" : "members refused")
    })
  }
  await sleep(joinMs, field.signal)
}

/** Offsets of no member, with as much metadata as one may have, under ever new names. */
const offsets: Step = async (field) => {
  const pipe = await KafkaPipe.connect(field.ports.kafka)
  const committedMetadata = "x".repeat(groupOffsetMetadataLengthMax)
  const refusals: Array<number> = []
  for (let group = 0; refusals.length < refusalsWanted && !field.signal.aborted; group++) {
    const partitions = Array.from({ length: partitionsPerStreamMax }, (_, partitionIndex) => ({
      partitionIndex,
      committedOffset: 1,
      committedLeaderEpoch: -1,
      committedMetadata
    }))
    const request = {
      groupId: `offsets-${group}`,
      generationIdOrMemberEpoch: -1,
      memberId: "",
      groupInstanceId: null,
      topics: [{ name: "wide", partitions }]
    }
    await pipe.send(OffsetCommit, 7, request, ({ topics }) => {
      const isRefused = topics[0]!.partitions[0]!.errorCode !== 0
      field.count(isRefused ? "commits refused" : "commits")
      if (isRefused) refusals.push(topics[0]!.partitions[0]!.errorCode)
    })
    await pipe.answered()
  }
  await pipe.end()
}

/** Messages for durable sessions that are away: as many as a queue may have, for more sessions than there is memory for. */
const queues: Step = async (field, horde) => {
  for (let n = 0; n < 60 && !field.signal.aborted; n++) {
    const client = await OneByOne.connect(field, horde, { clientId: `away-${n}`, expirySeconds: longExpirySeconds })
    await client?.subscribe(["queued/#"])
    horde.end(client?.socket)
  }
  const publisher = await OneByOne.connect(field, horde, { clientId: "queues" })
  for (let n = 0; n < offlineQueueMessagesMax + 100 && !field.signal.aborted; n++) {
    if (publisher === undefined || !(await publisher.publish({ topic: "queued/x", payload: "x".repeat(100) }))) break
    field.count("messages for 60 queues")
  }
  horde.end(publisher?.socket)
}

const filterOf = (session: number, n: number): string =>
  `${session}/${n}/${"l/".repeat(topicLevelsMax - 3)}${"x".repeat(topicBytesMax)}`.slice(0, topicBytesMax)

const longFilters = 1300

/** How many of the session's filters were granted, until one is not. */
const fillSession = async (field: Battlefield, client: OneByOne, session: number): Promise<number> => {
  for (let n = 0; ; n += 100) {
    const filters = Array.from({ length: 100 }, (_, i) => filterOf(session, n + i))
    const granted = (await client.subscribe(filters)) ?? 0
    field.count("subscriptions", granted)
    field.count("subscriptions refused", filters.length - granted)
    if (granted < filters.length || n + granted >= longFilters) return n + granted
  }
}

/** As many long filters as one session gets. */
const subscriptions: Step = async (field, horde) => {
  for (let session = 0, refused = 0; refused < 2 && !field.signal.aborted; session++) {
    const clientId = `subscribes-${session}`
    const client = await OneByOne.connect(field, horde, { clientId, expirySeconds: longExpirySeconds })
    if (client === undefined) {
      refused++
      continue
    }
    const granted = await fillSession(field, client, session)
    horde.end(client.socket)
    // Half of what sessions may have is left to wills, and to sessions without anything.
    if (granted >= longFilters) return
    refused++
  }
}

/** Durable sessions with the longest wills that there are, until no session is taken any more. */
const wills: Step = async (field, horde) => {
  const userProperties = Object.fromEntries(
    Array.from({ length: userPropertiesMax }, (_, n) => [
      `n-${n}`,
      "v".repeat(Math.floor(userPropertiesBytesMax / userPropertiesMax) - 10)
    ])
  )
  const will = {
    topic: "wills",
    payload: Buffer.alloc(50_000, 1),
    qos: 1 as const,
    retain: false,
    properties: { willDelayInterval: 3600, userProperties }
  }
  for (const [what, hasWill] of [
    ["wills", true],
    ["sessions", false]
  ] as const) {
    for (let n = 0, refused = 0; refused < refusalsWanted && !field.signal.aborted; n++) {
      const clientId = `${what}-${n}-`.padEnd(clientIdBytesMax, "x")
      const client = await OneByOne.connect(field, horde, {
        clientId,
        expirySeconds: longExpirySeconds,
        ...(hasWill && { will })
      })
      field.count(client === undefined ? `${what} refused` : what)
      if (client === undefined) refused++
      else horde.end(client.socket)
    }
  }
}

/** Retained messages, small ones and large ones, until none is taken. */
const retained: Step = async (field, horde) => {
  const client = await OneByOne.connect(field, horde, { clientId: "retains" })
  if (client === undefined) return
  for (let n = 0, refused = 0; refused < refusalsWanted && !field.signal.aborted; n++) {
    const payload = randomBytes(n % 2 === 0 ? 30_000 : 100)
    const topic = `retained/${n}/${"l/".repeat(n % 20)}x`
    const isTaken = await client.publish({ topic, payload, retain: true })
    field.count(isTaken ? "retained" : "retained refused")
    if (!isTaken) refused++
  }
  horde.end(client.socket)
}

/** Ever new idempotent producers in one partition and in many. */
const producers: Step = async (field) => {
  const pipe = await KafkaPipe.connect(field.ports.kafka)
  const records = new RecordsBuilder(1000)
  records.append(null, Buffer.from("x"), noHeaders, 1)
  for (let id = 0; id < 15_000 && !field.signal.aborted; id++) {
    const times = { baseTimestampMs: 1, maxTimestampMs: 1 }
    const producer = { producerId: 1_000_000 + id, producerEpoch: 0, baseSequence: 0 }
    const batch = buildBatch(
      { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, ...times, ...producer },
      records.bytes
    )
    const topicData = [{ name: "wide", partitionData: [{ index: id % 4, records: batch }] }]
    await pipe.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData }, ({ responses }) => {
      field.count(responses[0]!.partitionResponses[0]!.errorCode === 0 ? "producers" : "producers refused")
    })
  }
  await pipe.end()
}

/** Ever new transactional ids, and transactions with more groups than there is room for: ids without a transaction give way to others. */
const transactions: Step = async (field) => {
  const pipe = await KafkaPipe.connect(field.ports.kafka)
  const groups: Array<RequestInputOf<typeof AddOffsetsToTxn>> = []
  const counted = { refused: 0 }
  for (let id = 0; counted.refused < refusalsWanted && !field.signal.aborted; id++) {
    const transactionalId = `transaction-${id}-`.padEnd(500, "x")
    const asked = { transactionalId, transactionTimeoutMs: defaultLimits.transactionTimeoutMsMax }
    await pipe.send(InitProducerId, 4, asked, ({ errorCode, producerId, producerEpoch }) => {
      field.count(errorCode === 0 ? "transactional ids" : "transactional ids refused")
      if (errorCode !== 0) counted.refused++
      else for (let n = 0; n < 20; n++) groups.push({ transactionalId, producerId, producerEpoch, groupId: `g-${n}` })
    })
    for (const group of groups.splice(0)) {
      await pipe.send(AddOffsetsToTxn, 3, group, ({ errorCode }) => {
        field.count(errorCode === 0 ? "groups of transactions" : "groups of transactions refused")
        if (errorCode !== 0) counted.refused++
      })
    }
  }
  await pipe.end()
}

/** What stays when its client has gone, and over a restart: in this order, so that each finds room. */
export const keptSteps = { members, offsets, queues, subscriptions, wills, retained, producers, transactions, streams }
