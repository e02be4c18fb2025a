import { describe, expect, it } from "vitest"
import { isStreamFilter, parseStreamRequest, subscriptionName } from "../../../src/mqtt/streams/StreamRequest.ts"
import { StreamRefused } from "../../../src/mqtt/streams/StreamRefused.ts"
import { parseStreamTime } from "../../../src/mqtt/streams/streamTime.ts"

const nowMs = Date.parse("2026-11-30T10:00:00Z")

const parse = (filter: string, ...properties: ReadonlyArray<readonly [string, string]>) =>
  parseStreamRequest(filter, properties, nowMs)

const refused = (filter: string, ...properties: ReadonlyArray<readonly [string, string]>): StreamRefused => {
  try {
    parse(filter, ...properties)
  } catch (error) {
    if (error instanceof StreamRefused) return error
    throw error
  }
  throw new Error(`${filter} is taken`)
}

describe("a time", () => {
  it.each([
    ["0", 0],
    ["1764496800000000", 1764496800000],
    // Between two milliseconds: a record of the first one lies before it.
    ["1764496800000001", 1764496800001],
    ["-24h", nowMs - 86_400_000],
    ["-90s", nowMs - 90_000],
    ["-250ms", nowMs - 250],
    ["-15m", nowMs - 900_000],
    ["-2d", nowMs - 172_800_000],
    ["-1w", nowMs - 604_800_000],
    ["2026-11-29", Date.parse("2026-11-29T00:00:00Z")],
    ["2026-11-29T08:30", Date.parse("2026-11-29T08:30:00Z")],
    ["2026-11-29T08:30:15", Date.parse("2026-11-29T08:30:15Z")],
    ["2026-11-29T08:30:15.250Z", Date.parse("2026-11-29T08:30:15.250Z")],
    ["2026-11-29T08:30:15+02:00", Date.parse("2026-11-29T06:30:15Z")],
    ["2024-02-29", Date.parse("2024-02-29T00:00:00Z")]
  ])("%s", (text, atMs) => {
    expect(parseStreamTime(text, nowMs)).toBe(atMs)
  })

  it.each([
    "",
    "now",
    "24h",
    "-24",
    "-h",
    "-1.5h",
    "-1y",
    "1e3",
    "0x10",
    "+1",
    "2026-13-01",
    "2026-02-30",
    "2026-11-29T25:00",
    "2026-11-29 08:30",
    "99999999999999999"
  ])("%s is none", (text) => {
    expect(parseStreamTime(text, nowMs)).toBeUndefined()
  })
})

describe("a $stream filter", () => {
  it("is told from others by its first level alone", () => {
    expect(["$stream", "$stream/a", "$stream/", "$stream/a/#"].map(isStreamFilter)).toEqual([true, true, true, true])
    expect(["$streams/a", "a/$stream/b", "#", "$share/g/$stream/a"].map(isStreamFilter)).toEqual([
      false,
      false,
      false,
      false
    ])
  })

  it("names the whole stream, its newest records and no end, unless it says more", () => {
    expect(parse("$stream/orders")).toEqual({
      filter: "$stream/orders",
      stream: "orders",
      topicFilter: undefined,
      start: { _tag: "Latest" },
      end: undefined,
      isFullTopic: false,
      waits: false,
      resets: false
    })
  })

  it("has a narrower filter behind the name", () => {
    expect(parse("$stream/orders/devices/+/up")).toMatchObject({ stream: "orders", topicFilter: "devices/+/up" })
    expect(parse("$stream/orders/#").topicFilter).toBe("#")
    expect(parse("$stream/orders//a").topicFilter).toBe("/a")
  })

  it.each([
    ["earliest", { _tag: "Earliest" }],
    ["latest", { _tag: "Latest" }],
    ["1764496800000000", { _tag: "Time", atMs: 1764496800000 }],
    ["2026-11-30T09:00:00Z", { _tag: "Time", atMs: nowMs - 3_600_000 }],
    ["-24h", { _tag: "Time", atMs: nowMs - 86_400_000 }],
    ["last:100", { _tag: "Last", count: 100 }],
    ["offset:3:17", { _tag: "Offsets", offsets: new Map([[3, 17]]) }],
    [
      "offset:0:5,offset:2:9",
      {
        _tag: "Offsets",
        offsets: new Map([
          [0, 5],
          [2, 9]
        ])
      }
    ]
  ])("begins at %s, by a user property and by the filter", (text, start) => {
    expect(parse("$stream/s", ["stream-offset", text]).start).toEqual(start)
    expect(parse(`$stream/s?from=${encodeURIComponent(text)}/a/b`)).toMatchObject({ start, topicFilter: "a/b" })
  })

  it.each([
    ["now", { _tag: "Now" }],
    ["-1h", { _tag: "Time", atMs: nowMs - 3_600_000 }],
    ["offset:1:2", { _tag: "Offsets", offsets: new Map([[1, 2]]) }]
  ])("ends at %s", (text, end) => {
    expect(parse("$stream/s", ["stream-until", text]).end).toEqual(end)
    expect(parse(`$stream/s?until=${text}`).end).toEqual(end)
  })

  it("has flags", () => {
    const all = parse("$stream/s", ["stream-topic", "full"], ["stream-wait", "1"], ["stream-reset", "1"])
    expect(all).toMatchObject({ isFullTopic: true, waits: true, resets: true })
    expect(parse("$stream/s?topic=full&wait=1&reset=1")).toEqual({ ...all, start: { _tag: "Latest" } })
    expect(parse("$stream/s", ["stream-topic", "original"], ["stream-wait", "0"])).toMatchObject({
      isFullTopic: false,
      waits: false
    })
  })

  it("is one subscription whatever its options are, and its own options come before those of its packet", () => {
    const request = parse("$stream/s?from=earliest/a", ["stream-offset", "last:1"], ["stream-until", "now"])
    expect(request).toMatchObject({ filter: "$stream/s/a", start: { _tag: "Earliest" }, end: { _tag: "Now" } })
    expect(subscriptionName("$stream/s?from=earliest/a")).toBe("$stream/s/a")
    expect(subscriptionName("$stream/s?from=earliest")).toBe("$stream/s")
    expect(subscriptionName("a?b/c")).toBe("a?b/c")
  })

  it("takes no notice of other user properties", () => {
    expect(parse("$stream/s", ["streams", "x"], ["trace", "y"]).start).toEqual({ _tag: "Latest" })
  })

  it.each([
    ["StreamName", "$stream", []],
    ["StreamName", "$stream/", []],
    ["StreamName", "$stream/+/a", []],
    ["StreamName", "$stream/#", []],
    ["StreamName", "$stream/a b", []],
    ["StreamName", "$stream/..", []],
    ["StreamName", "$stream/__x", []],
    ["StreamName", `$stream/${"x".repeat(250)}`, []],
    ["CannotMatch", "$stream/s/", []],
    ["UnknownOption", "$stream/s?form=earliest", []],
    ["UnknownOption", "$stream/s?", []],
    ["UnknownOption", "$stream/s?__proto__=1", []],
    ["UnknownOption", "$stream/s", [["stream-ofset", "earliest"]]],
    ["RepeatedOption", "$stream/s?from=earliest&from=latest", []],
    [
      "RepeatedOption",
      "$stream/s",
      [
        ["stream-offset", "earliest"],
        ["stream-offset", "latest"]
      ]
    ],
    ["OptionValue", "$stream/s", [["stream-offset", ""]]],
    ["OptionValue", "$stream/s", [["stream-offset", "yesterday"]]],
    ["OptionValue", "$stream/s", [["stream-offset", "now"]]],
    ["OptionValue", "$stream/s", [["stream-offset", "last:"]]],
    ["OptionValue", "$stream/s", [["stream-offset", "last:-1"]]],
    ["OptionValue", "$stream/s", [["stream-offset", "offset:1"]]],
    ["OptionValue", "$stream/s", [["stream-offset", "offset:1:2,offset:1:3"]]],
    ["OptionValue", "$stream/s", [["stream-until", "earliest"]]],
    ["OptionValue", "$stream/s", [["stream-topic", "short"]]],
    ["OptionValue", "$stream/s", [["stream-wait", "yes"]]],
    ["OptionValue", "$stream/s?from=%zz", []]
  ] as const)("is refused as %s: %s %j", (reason, filter, properties) => {
    const error = refused(filter, ...properties)
    expect(error.reason).toBe(reason)
    expect(error.message.length).toBeLessThan(250)
  })

  it("says what a start could be", () => {
    expect(refused("$stream/s", ["stream-offset", "yesterday"]).message).toBe(
      'stream-offset is "yesterday": it has to be earliest, latest, a Unix time in µs, ISO 8601, such as -24h, last:N or offset:PARTITION:OFFSET'
    )
  })
})
