import { randomBytes } from "node:crypto"
import { setImmediate, setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import type { QoS } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { attempt } from "./attempt.ts"
import { boundedOption, Clock, loadOf, report, type Load, type Measured } from "./bench.ts"
import { CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"
import type { Listener } from "./clients/connecting.ts"
import { MqttClient, refusedBy } from "./clients/MqttClient.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { Histogram } from "./Histogram.ts"
import { bytesText, counted, note, type Io } from "./Io.ts"
import { listenerOf, timeoutOf } from "./optionValues.ts"
import { qosOf } from "./publish.ts"

const connectionsMax = 10_000
const inflightMax = 1_000
/** No connection sends as many. */
const rateMax = 10_000_000
const messagesPerTurn = 64
/** The time of sending, at the head of each payload. */
const stampBytes = 8
/** So long a subscriber may get nothing behind the last message before the rest counts as lost. */
const lateMs = 2_000

interface Plan extends Load {
  readonly listener: Listener
  readonly timeoutMs: number
  readonly topic: string
  readonly qos: QoS
  readonly publishers: number
  readonly subscribers: number
  readonly inflight: number
  /** Messages a second in all. */
  readonly rate: number
}

const planOf = (args: Arguments, io: Io): Effect.Effect<Plan, CliError> =>
  Effect.gen(function* () {
    const load = yield* loadOf(args)
    const topic = args.text("topic") ?? "bench"
    if (topic === "" || /[+#]/.test(topic)) return yield* Effect.fail(usageError(`--topic "${topic}" is no topic`))
    if (load.sizeBytes < stampBytes) return yield* Effect.fail(usageError(`--size takes ${stampBytes} at least`))
    const subscribers = yield* boundedOption(args, "subscribers", 0, connectionsMax, 0)
    return {
      ...load,
      topic,
      subscribers,
      listener: yield* listenerOf(args, io, "mqtt"),
      timeoutMs: yield* timeoutOf(args),
      qos: yield* qosOf(args),
      publishers: yield* boundedOption(args, "publishers", 10, connectionsMax),
      inflight: yield* boundedOption(args, "inflight", 100, inflightMax),
      rate: yield* boundedOption(args, "rate", rateMax, rateMax)
    }
  })

/** All connections count together. */
class Counts {
  begun = 0
  acknowledged = 0
  delivered = 0
  readonly acknowledging = new Histogram()
  readonly delivering = new Histogram()
}

const connectAll = async (
  { listener, timeoutMs, inflight }: Plan,
  count: number,
  onMessage?: (payload: Uint8Array) => void
): Promise<ReadonlyArray<MqttClient>> => {
  const name = randomBytes(4).toString("hex")
  const clients: Array<MqttClient> = []
  try {
    // They come one by one: a server takes so many new connections a second.
    for (let i = 0; i < count; i++) {
      const options = { clientId: `bench-${name}-${i}`, cleanStart: true, sessionExpirySeconds: 0, will: undefined }
      clients.push(
        await MqttClient.connect(
          listener,
          { ...options, timeoutMs, inflightMax: inflight },
          {
            onMessage: ({ payload }) => {
              onMessage?.(payload)
              return true
            },
            kept: () => undefined
          }
        )
      )
    }
    return clients
  } catch (error) {
    await closeAll(clients)
    throw error
  }
}

const closeAll = (clients: ReadonlyArray<MqttClient>): Promise<unknown> =>
  Promise.all(clients.map((client) => client.leave()))

/** Publishes from one connection until the load is over; resolves once all is acknowledged. */
const publishFrom = async (client: MqttClient, index: number, plan: Plan, clock: Clock, counts: Counts) => {
  const { topic, qos, sizeBytes, publishers, rate, countMax } = plan
  const intervalMs = (publishers * 1000) / rate
  const payload = Buffer.alloc(sizeBytes, 0x61)
  const pending = new Set<Promise<void>>()
  let failure: unknown
  let dueMs = clock.elapsedMs
  const send = async (): Promise<void> => {
    const beganMs = performance.now()
    payload.writeDoubleBE(beganMs)
    try {
      const { reasonCode, properties } = await client.publish({
        topic: `${topic}/${index}`,
        payload,
        qos,
        retain: false
      })
      if (reasonCode >= ReasonCode.UnspecifiedError) throw refusedBy("a message", reasonCode, properties)
      counts.acknowledged++
      if (qos > 0) counts.acknowledging.add(performance.now() - beganMs)
    } catch (error) {
      failure ??= error
    }
  }
  while (!clock.isOver && counts.begun < countMax) {
    const waitMs = dueMs - clock.elapsedMs
    if (waitMs > 1) await sleep(waitMs)
    dueMs += intervalMs
    await client.ready()
    // Nothing that comes is awaited for QoS 0: subscribers of this process get their turn.
    if (qos === 0 && counts.begun % messagesPerTurn === 0) await setImmediate()
    if (counts.begun >= countMax || failure !== undefined) break
    counts.begun++
    const sending = send().finally(() => pending.delete(sending))
    pending.add(sending)
  }
  await Promise.all(pending)
  if (failure !== undefined) throw failure
}

/** Until subscribers have all, or nothing comes any more. */
const delivered = async (counts: Counts, expected: number): Promise<void> => {
  let seen = -1
  let quietMs = 0
  const stepMs = 20
  while (counts.delivered < expected && quietMs < lateMs) {
    quietMs = counts.delivered === seen ? quietMs + stepMs : 0
    seen = counts.delivered
    await sleep(stepMs)
  }
}

interface Ran {
  readonly measured: ReadonlyArray<Measured>
  readonly lost: number
  readonly cpuShare: number
  readonly exitCode: ExitCode
}

const runLoad = async (plan: Plan): Promise<Ran> => {
  const { topic, qos, sizeBytes, subscribers } = plan
  const counts = new Counts()
  const readers = await connectAll(plan, subscribers, (payload) => {
    counts.delivered++
    const stamp = Buffer.from(payload.buffer, payload.byteOffset, payload.length).readDoubleBE(0)
    counts.delivering.add(performance.now() - stamp)
  })
  const writers: Array<MqttClient> = []
  try {
    const subscription = {
      filter: `${topic}/+`,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 2
    } as const
    for (const reader of readers) await reader.subscribe([subscription])
    writers.push(...(await connectAll(plan, plan.publishers)))
    const clock = new Clock(plan.durationMs)
    const publishing = Promise.all(writers.map((writer, i) => publishFrom(writer, i, plan, clock, counts)))
    const lostReader = Promise.race(readers.map(({ ended }) => ended))
    // A failure of one side ends both; the other one may still fail when the connections close.
    for (const side of [publishing, lostReader]) side.catch(() => undefined)
    await Promise.race([publishing, lostReader])
    const publishedS = clock.elapsedMs / 1000
    await Promise.race([delivered(counts, counts.acknowledged * subscribers), lostReader])
    const deliveredS = clock.elapsedMs / 1000
    // Nothing else tells whether the server took messages of QoS 0.
    if (qos === 0) await Promise.all(writers.map((writer) => writer.disconnect()))
    const { acknowledged, delivered: received, acknowledging, delivering } = counts
    const published: Measured = {
      name: "published",
      count: acknowledged,
      bytes: acknowledged * sizeBytes,
      seconds: publishedS,
      latency: qos > 0 ? acknowledging : undefined
    }
    const read = { name: "delivered", count: received, bytes: received * sizeBytes, seconds: deliveredS }
    return {
      measured: [published, ...(subscribers > 0 ? [{ ...read, latency: delivering }] : [])],
      lost: acknowledged * subscribers - received,
      cpuShare: clock.cpuShare,
      exitCode: clock.end()
    }
  } finally {
    await closeAll([...writers, ...readers])
  }
}

/** Publishes as fast as it goes, or at a rate, and says how fast that was. */
export const benchMqtt: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = yield* planOf(args, io)
    const { measured, lost, cpuShare, exitCode } = yield* attempt(() => runLoad(plan))
    const { publishers, subscribers, qos, inflight, sizeBytes } = plan
    const load =
      `${counted(publishers, "publisher")} of QoS ${qos} with ${bytesText(sizeBytes)} each, ` +
      `${inflight} unacknowledged at most; ${counted(subscribers, "subscriber")}`
    report(args, io, load, measured, cpuShare)
    if (lost <= 0) return exitCode
    const text = `${counted(lost, "message")} did not come to a subscriber`
    if (qos > 0) return yield* Effect.fail(new CliError(exitCodes.failure, "E_LOST", text))
    note(io, text)
    return exitCode
  })
