import * as net from "node:net"
import { encodeConnack, encodeSuback } from "@logbrook/protocols/mqtt/encode"
import { encodeAck } from "@logbrook/protocols/mqtt/encodePublish"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import { describe, expect, it, vi } from "vitest"
import { consumeFrom, Counts } from "../../src/cli/benchKafka.ts"
import { Histogram } from "../../src/cli/Histogram.ts"
import { startKit as startKafka } from "../kafka/kit.ts"
import { startKit as startMqtt } from "../mqtt/kit.ts"
import { listening, run } from "./support.ts"

describe("a histogram", () => {
  it("tells quantiles that are too high by 4.5 % at most, and the highest as it is", () => {
    const histogram = new Histogram()
    for (let ms = 1; ms <= 1000; ms++) histogram.add(ms)
    expect([histogram.count, histogram.maxMs]).toEqual([1000, 1000])
    for (const [share, ms] of [
      [0.5, 500],
      [0.99, 990],
      [1, 1000]
    ] as const) {
      expect(histogram.quantileMs(share)).toBeGreaterThanOrEqual(ms)
      expect(histogram.quantileMs(share)).toBeLessThanOrEqual(Math.min(1000, ms * 1.045))
    }
    histogram.add(0)
    expect(histogram.quantileMs(0.0001)).toBeLessThan(0.002)
    expect(new Histogram().quantileMs(0.5)).toBe(0)
  })
})

describe("bench mqtt", () => {
  it.each(["0", "1", "2"])("counts what was published at QoS %s, and what came", async (qos) => {
    const kit = await startMqtt()
    await kit.bind("bench", ["bench/#"], 2)
    const words = [
      "bench",
      "mqtt",
      "--count",
      "500",
      "--publishers",
      "3",
      "--subscribers",
      "2",
      "--qos",
      qos,
      "--size",
      "64"
    ]
    const { code, out } = await run([...words, "--json", "--mqtt", `127.0.0.1:${kit.port}`])
    expect(code).toBe(0)
    const { published, delivered } = JSON.parse(out.join("\n"))
    expect(published).toMatchObject({ count: 500, bytes: 32_000 })
    expect(delivered.count).toBe(1000)
    expect(published.perSecond).toBeCloseTo(500 / published.seconds)
    expect(delivered.latencyMs.p50).toBeGreaterThan(0)
    expect(published.latencyMs === undefined).toBe(qos === "0")
    await expect.poll(() => kit.records("bench").length).toBe(500)
    // The server ends the sessions with the connections, behind its own commit.
    await expect.poll(() => kit.mqtt.directory.size).toBe(0)
    await kit.stop()
  })

  it("keeps its rate, and ends in time", async () => {
    const kit = await startMqtt()
    const words = ["bench", "mqtt", "--rate", "100", "--duration", "300ms", "--publishers", "2", "--json"]
    const { code, out } = await run([...words, "--mqtt", `127.0.0.1:${kit.port}`])
    expect(code).toBe(0)
    const { published } = JSON.parse(out.join("\n"))
    expect(published.count).toBeGreaterThan(0)
    // Each publisher begins at once, and may be a millisecond early.
    expect(published.count).toBeLessThanOrEqual(100 * published.seconds + 3)
    await kit.stop()
  })

  it("tells in words what it was", async () => {
    const kit = await startMqtt()
    const words = ["bench", "mqtt", "--count", "1200", "--publishers", "2"]
    const { code, out } = await run([...words, "--mqtt", `127.0.0.1:${kit.port}`])
    expect(code).toBe(0)
    expect(out[0]).toMatch(/^load +2 publishers of QoS 1 with 100 B each, 100 unacknowledged at most; 0 subscribers$/)
    expect(out[1]).toMatch(
      /^published +1,200 in \d+\.\d s: [\d,]+\/s, [\d.]+ \w+\/s; p50 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms$/
    )
    expect(out[2]).toMatch(/^this client +\d+ % of a core$/)
    await kit.stop()
  })

  it.each([
    [["--publishers", "10001"], "--publishers takes 10000 at most"],
    [["--size", "4"], "--size takes 8 at least"],
    [["--size", "2MB"], "--size takes up to 1MB"],
    [["--duration", "2h"], "--duration takes up to 1h"],
    [["--topic", "a/#"], "is no topic"],
    [["--inflight", "0"], "--inflight takes a whole number, 1 at least"]
  ])("is bounded: %j", async (words, message) => {
    const { code, err } = await run(["bench", "mqtt", ...words])
    expect(code).toBe(2)
    expect(err[0]).toContain(message)
  })
})

/** Takes every message of QoS 1, and delivers none. `onPublish` gets the sockets of those that subscribe. */
const losing = async (onPublish: (subscribers: ReadonlyArray<net.Socket>) => void) => {
  const subscribers: Array<net.Socket> = []
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined)
    const splitter = new Splitter(1_000_000)
    // So small that the length takes one byte.
    const answer = (packet: Uint8Array): void => {
      const [type, body] = [packet[0]! >> 4, Buffer.from(packet.subarray(2))]
      if (type === 1) socket.write(encodeConnack(5, false, 0, {}))
      if (type === 8) {
        subscribers.push(socket)
        socket.write(encodeSuback(5, body.readUInt16BE(0), [1]))
      }
      if (type === 3) {
        socket.write(encodeAck(5, "Puback", body.readUInt16BE(2 + body.readUInt16BE(0))))
        onPublish(subscribers)
      }
    }
    socket.on("data", (chunk) => splitter.push(chunk, answer))
  })
  return { address: await listening(server), close: () => server.close() }
}

describe("bench mqtt of what is lost", () => {
  const words = ["bench", "mqtt", "--count", "3", "--publishers", "1", "--subscribers", "1", "--mqtt"]

  it("fails, and tells how much it was", async () => {
    const { address, close } = await losing(() => undefined)
    const { code, out, err } = await run([...words, address])
    expect(code).toBe(1)
    expect(out.some((line) => line.startsWith("published"))).toBe(true)
    expect(err.at(-1)).toBe("error[E_LOST]: 3 messages did not come to a subscriber")
    close()
  })

  it("fails with the end of a subscriber's connection", async () => {
    const { address, close } = await losing((subscribers) => subscribers[0]!.destroy())
    const { code, err } = await run([...words, address])
    expect(code).toBe(5)
    expect(err[0]).toMatch(/^error\[E_CONNECTION_LOST\]/)
    close()
  })
})

describe("bench kafka of what is lost", () => {
  it("ends some time behind the last record", async () => {
    vi.useFakeTimers({ toFake: ["performance"] })
    const counts = new Counts()
    const noRecord = { records: [], taken: () => undefined }
    let asked = 0
    const next = async () => {
      asked++
      vi.advanceTimersByTime(500)
      // Nothing comes while it is produced, which is no loss yet.
      if (asked === 20) Object.assign(counts, { isProducing: false, produced: 5 })
      return [noRecord]
    }
    await consumeFrom({ next }, counts)
    vi.useRealTimers()
    expect({ asked, consumed: counts.consumed }).toEqual({ asked: 30, consumed: 0 })
  })
})

describe("bench kafka", () => {
  it("counts what was produced, to the last record, and what was consumed", async () => {
    const kit = await startKafka()
    await kit.createStream("load", { partitions: 3 })
    const words = [
      "bench",
      "kafka",
      "load",
      "--count",
      "1050",
      "--batch",
      "100",
      "--producers",
      "2",
      "--consumers",
      "2"
    ]
    const { code, out, err } = await run([...words, "--json", "--kafka", `127.0.0.1:${kit.listener.port}`])
    expect({ code, err: err.filter((line) => !line.startsWith("note: this client")) }).toEqual({ code: 0, err: [] })
    const { produced, consumed } = JSON.parse(out.join("\n"))
    expect(produced).toMatchObject({ count: 1050, bytes: 105_000 })
    expect(produced.latencyMs.max).toBeGreaterThan(0)
    expect(consumed.count).toBe(2100)
    const logs = kit.broker.directory
      .byName("load")!
      .logIds.map((id) => kit.broker.shards.logsOf(id).log(id).highWatermark)
    expect(logs.reduce((sum, each) => sum + each)).toBe(1050)
    await kit.close()
  })

  it("ends with what the server refuses", async () => {
    const kit = await startKafka()
    const at = ["--kafka", `127.0.0.1:${kit.listener.port}`]
    expect((await run(["bench", "kafka", "nobody", ...at])).code).toBe(3)
    await kit.createStream("sensors", { filters: ["sensors/#"] })
    for (const consumers of ["0", "1"]) {
      const { code, err } = await run(["bench", "kafka", "sensors", "--consumers", consumers, ...at])
      expect(code).toBe(4)
      expect(err.at(-1)).toContain("E_TOPIC_AUTHORIZATION_FAILED")
    }
    expect((await run(["bench", "kafka", "x", "--batch", "1001", "--size", "1000"])).code).toBe(2)
    await kit.close()
  })
})
