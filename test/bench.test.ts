import { readFileSync } from "node:fs"
import * as net from "node:net"
import { describe, expect, it } from "vitest"
import { figureOf, isSlower } from "../bench/compare/compare.ts"
import type { Reading } from "../bench/compare/readings.ts"
import { publishPacket } from "../bench/load/mqttPackets.ts"
import { MqttReader } from "../bench/load/MqttReader.ts"
import { startFlags } from "../bench/servers/logbrook.ts"
import { chartSvg, shortNumber } from "../bench/svg.ts"

const reading = (value: number, better: "higher" | "lower"): Reading => ({ what: "w", unit: "u", value, better })
const pairs = (better: "higher" | "lower", values: ReadonlyArray<readonly [theirs: number, ours: number]>) =>
  values.map(([theirs, ours]) => [reading(theirs, better), reading(ours, better)] as const)

describe("comparing two builds", () => {
  it("says that a cost that grew and a rate that fell by more than 10 % got slower", () => {
    expect(isSlower(figureOf(pairs("lower", [[10, 11.2]])))).toBe(true)
    expect(isSlower(figureOf(pairs("higher", [[112, 100]])))).toBe(true)
    expect(isSlower(figureOf(pairs("lower", [[10, 10.9]])))).toBe(false)
    expect(isSlower(figureOf(pairs("higher", [[100, 200]])))).toBe(false)
  })

  it("goes by the median of the pairs' ratios, not by one pair", () => {
    const figure = figureOf(
      pairs("lower", [
        [10, 40],
        [10, 10],
        [20, 21]
      ])
    )
    expect(figure.ratios).toEqual([4, 1, 1.05])
    expect(isSlower(figure)).toBe(false)
  })
})

const point = (x: number, y: number) => ({ x, y, low: y * 0.9, high: y * 1.1 })

const placesOf = (svg: string) =>
  [...svg.matchAll(/<circle class="point" cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)])

describe("a chart", () => {
  const chart = { name: "c", title: "a < b", xLabel: "things", yLabel: "µs" }
  it("has decades at equal distances, 0 one before the first, and more cost further up", () => {
    const svg = chartSvg({ ...chart, points: [point(0, 1), point(10, 2), point(100, 4), point(1000, 3)] })
    const [a, b, c, d] = placesOf(svg) as [[number, number], [number, number], [number, number], [number, number]]
    expect(b[0] - a[0]).toBeCloseTo(c[0] - b[0], 0)
    expect(c[0] - b[0]).toBeCloseTo(d[0] - c[0], 0)
    expect(a[1]).toBeGreaterThan(b[1])
    expect(c[1]).toBeLessThan(d[1])
    expect(svg).toContain("a &lt; b")
  })

  it("draws everything inside its frame, whatever the figures", () => {
    for (const scale of [0.003, 1, 87, 40_000]) {
      const places = placesOf(chartSvg({ ...chart, points: [point(1, scale), point(100_000, 3 * scale)] }))
      expect(places).toHaveLength(2)
      for (const [x, y] of places) {
        expect(x).toBeGreaterThanOrEqual(0)
        expect(x).toBeLessThanOrEqual(640)
        expect(y).toBeGreaterThan(40)
        expect(y).toBeLessThan(340)
      }
    }
    expect(chartSvg({ ...chart, points: [point(5, 0)] })).not.toMatch(/NaN|Infinity/)
  })

  it("refuses to draw nothing", () => {
    expect(() => chartSvg({ ...chart, points: [] })).toThrow("nothing to draw")
  })

  it.each([
    [0, "0"],
    [0.25, "0.25"],
    [950, "950"],
    [1024, "1,024"],
    [12_500, "12.5 k"],
    [100_000, "100 k"],
    [1_500_000, "1.5 M"]
  ])("writes %d as %s", (value, short) => {
    expect(shortNumber(value)).toBe(short)
  })
})

describe("the server that is measured", () => {
  it("is started as users start it", () => {
    const { scripts } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
    expect(scripts.start).toContain(`node ${startFlags.join(" ")} packages/server/bundle/bin.js serve`)
  })
})

/** A server of one connection that grants its subscription and keeps what else it is sent. */
const grantingServer = async () => {
  const { promise: subscribed, resolve } = Promise.withResolvers<net.Socket>()
  const heard: Array<Buffer> = []
  const server = net.createServer({ noDelay: true }, (socket) =>
    socket.on("data", (bytes: Buffer) => {
      if (bytes[0] === 0x10) socket.write(Buffer.from([0x20, 2, 0, 0]))
      else if (bytes[0] === 0x82) {
        socket.write(Buffer.from([0x90, 3, bytes[2]!, bytes[3]!, 1]))
        resolve(socket)
      } else heard.push(bytes)
    })
  )
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening))
  return { port: (server.address() as net.AddressInfo).port, subscribed, heard, close: () => server.close() }
}

const unwanted = (error: Error) => expect.unreachable(error.message)

describe("the subscriber beside a load", () => {
  it("counts every message and acknowledges those of QoS 1, wherever their bytes are cut", async () => {
    const { port, subscribed, heard, close } = await grantingServer()
    const reader = await MqttReader.subscribe(port, "sensors/+/data", { onReceived: () => {}, onFailed: unwanted })
    const socket = await subscribed
    const topic = "sensors/a/data"
    const packets = [1, 2, 3, 4].map((id) => publishPacket(topic, Buffer.alloc(id * 70), id % 2 === 0 ? 0 : 1, id))
    const bytes = Buffer.concat(packets)
    for (let cut = 1; cut < bytes.length; cut += 7) {
      socket.write(bytes.subarray(0, cut))
      await new Promise<void>((next) => void setImmediate(next))
      socket.write(bytes.subarray(cut))
      await new Promise<void>((next) => void setImmediate(next))
    }
    const rounds = Math.ceil((bytes.length - 1) / 7)
    const acks = Buffer.concat(Array.from({ length: rounds }, () => Buffer.from([0x40, 2, 0, 1, 0x40, 2, 0, 3])))
    await expect.poll(() => Buffer.concat(heard).toString("hex")).toBe(acks.toString("hex"))
    expect(reader.received).toBe(rounds * packets.length)
    reader.close()
    socket.destroy()
    close()
  })
})
