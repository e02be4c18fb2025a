import { describe, expect, it } from "vitest"
import { Histogram } from "../../src/cli/Histogram.ts"
import { startKit as startKafka } from "../kafka/kit.ts"
import { startKit as startMqtt } from "../mqtt/kit.ts"
import { run } from "./support.ts"

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
    expect(kit.mqtt.directory.size).toBe(0)
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
