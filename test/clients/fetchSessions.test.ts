import { once } from "node:events"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { javaFollowMany } from "../support/java.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"

const streams = ["one", "two", "three", "four"]
const partitions = 50
const rounds = 40
const perRound = 10

describe("Java's consumer of two hundred partitions", () => {
  let server: ServerProcess
  beforeAll(async () => {
    server = await ServerProcess.start()
    for (const stream of streams) await server.createStream(stream, { partitions })
  })
  afterAll(() => server?.dispose())

  const metric = async (name: string): Promise<ReadonlyArray<string>> => {
    const text = await (await fetch(`http://127.0.0.1:${server.ports.http}/metrics`)).text()
    return text.split("\n").filter((line) => line.startsWith(name))
  }

  it("fetches in a session, and gets each record once and in order", async () => {
    const java = javaFollowMany(server.kafka, rounds * perRound, streams)
    const exited = once(java, "exit")
    const lines: Array<string> = []
    const isReady = Promise.withResolvers<void>()
    createInterface({ input: java.stdout! }).on("line", (line) => {
      if (line === "ready") isReady.resolve()
      else lines.push(line)
    })
    await Promise.race([isReady.promise, exited])
    const producer = kafkajsOf(server.kafka).producer()
    await producer.connect()
    const sent: Array<string> = []
    const next = new Map<string, number>()
    for (let round = 0; round < rounds; round++) {
      const topic = streams[round % streams.length]!
      const messages = Array.from({ length: perRound }, (_, i) => {
        const partition = (round * 7 + i * 3) % partitions
        const [place, value] = [`${topic} ${partition}`, `${round}/${i}`]
        sent.push(`${place} ${next.get(place) ?? 0} ${value}`)
        next.set(place, (next.get(place) ?? 0) + 1)
        return { partition, value }
      })
      await producer.send({ topic, messages })
      if (round === rounds / 2) {
        expect(await metric("logbrook_kafka_fetch_sessions ")).toEqual(["logbrook_kafka_fetch_sessions 1"])
        const all = `logbrook_kafka_fetch_session_partitions ${streams.length * partitions}`
        expect(await metric("logbrook_kafka_fetch_session_partitions ")).toEqual([all])
      }
    }
    await producer.disconnect()
    expect(await exited).toEqual([0, null])
    expect(lines.toSorted()).toEqual(sent.toSorted())
    const answered = await metric(`logbrook_kafka_requests_total{api="Fetch"`)
    expect(answered.map((line) => line.slice(0, line.lastIndexOf(" ")))).toEqual([
      'logbrook_kafka_requests_total{api="Fetch",error="NONE"}'
    ])
    // It has closed its session.
    expect(await metric("logbrook_kafka_fetch_sessions ")).toEqual(["logbrook_kafka_fetch_sessions 0"])
  })
})
