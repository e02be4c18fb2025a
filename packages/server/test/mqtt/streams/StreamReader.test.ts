import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { matchesRecord, notRead, overlap, placeOf, placeOfNone } from "../../../src/mqtt/streams/streamPlace.ts"
import { StreamReader } from "../../../src/mqtt/streams/StreamReader.ts"
import { StreamRefused } from "../../../src/mqtt/streams/StreamRefused.ts"
import { parseStreamRequest } from "../../../src/mqtt/streams/StreamRequest.ts"
import { logAt, lookAll, mqttHeaders, places, TestLog } from "./partitionLogs.ts"

const nowMs = 1_000_000
const topicId = "id"
const filters = ["devices/#", "$SYS/#"]

const request = (text: string, until?: string, filter = "$stream/s") =>
  parseStreamRequest(
    filter,
    [["stream-offset", text], ...(until === undefined ? [] : [["stream-until", until] as const])],
    nowMs
  )

const place = (logs: ReadonlyArray<TestLog>, text: string, until?: string) =>
  placeOf(request(text, until), topicId, filters, logs)

const reader = (logs: ReadonlyArray<TestLog>, text = "earliest", until?: string): StreamReader =>
  new StreamReader({ stream: "s", topicFilter: undefined, noLocal: undefined }, logs, place(logs, text, until))

const readAll = (logs: ReadonlyArray<TestLog>, text = "earliest", until?: string) =>
  places(lookAll(reader(logs, text, until)))

const refusal = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    if (error instanceof StreamRefused) return error.reason
    throw error
  }
  return undefined
}

const waits = (text: string, until?: string) => ({ ...request(text, until), waits: true })

const placed = (filter: string, bound: ReadonlyArray<string>) => () =>
  placeOf(request("earliest", undefined, `$stream/s/${filter}`), topicId, bound, [logAt(0, [10])])

describe("the place of a request", () => {
  const logs = [logAt(0, [10, 20, 30]), logAt(1, [15, 25, 35, 45]), logAt(2, [])]

  it.each([
    ["earliest", [0, 0, 0]],
    ["latest", [3, 4, 0]],
    ["25000", [2, 1, 0]],
    ["25001", [2, 2, 0]],
    ["99000000", [3, 4, 0]],
    ["last:1", [3, 3, 0]],
    ["last:4", [2, 1, 0]],
    ["last:0", [3, 4, 0]],
    ["last:100", [0, 0, 0]],
    ["offset:1:2", [notRead, 2, notRead]],
    ["offset:0:3,offset:2:0", [3, notRead, 0]]
  ])("begins at %s", (text, positions) => {
    expect(place(logs, text)).toEqual({ topicId, positions, ends: null, untilMs: null, isFullTopic: false })
  })

  it.each([
    ["now", { ends: [3, 4, 0], untilMs: null, positions: [0, 0, 0] }],
    ["30000", { ends: null, untilMs: 30, positions: [0, 0, 0] }],
    ["offset:1:3", { ends: [notRead, 3, notRead], untilMs: null, positions: [notRead, 0, notRead] }]
  ])("ends at %s", (text, expected) => {
    expect(place(logs, "earliest", text)).toMatchObject(expected)
  })

  it("is refused for partitions and offsets that are not there", () => {
    expect(refusal(() => place(logs, "offset:3:0"))).toBe("UnknownPartition")
    expect(refusal(() => place(logs, "earliest", "offset:3:0"))).toBe("UnknownPartition")
    expect(refusal(() => place(logs, "offset:0:4"))).toBe("OffsetOutOfRange")
    expect(refusal(() => place(logs, "offset:0:3"))).toBeUndefined()
  })

  it("is refused for a filter that cannot match", () => {
    expect(refusal(placed("other/a", filters))).toBe("CannotMatch")
    expect(refusal(placed("devices/7", filters))).toBeUndefined()
    expect(refusal(placed("+/7", filters))).toBeUndefined()
    expect(refusal(placed("devices/7", []))).toBe("CannotMatch")
    expect(refusal(placed("#", []))).toBeUndefined()
  })

  it("of a stream that does not exist is all of it, for who waits", () => {
    expect(refusal(() => placeOfNone(request("earliest")))).toBe("UnknownStream")
    expect(placeOfNone(waits("latest"))).toEqual({
      topicId: null,
      positions: [],
      ends: null,
      untilMs: null,
      isFullTopic: false
    })
    expect(refusal(() => placeOfNone(waits("offset:0:1")))).toBe("UnknownStream")
    expect(refusal(() => placeOfNone(waits("earliest", "now")))).toBe("UnknownStream")
  })

  it("of last:N is found with a bounded number of looks and reads", () => {
    const many = logAt(
      0,
      Array.from({ length: 20_000 }, (_, i) => i),
      1
    )
    let looks = 0
    const part = many.part.bind(many)
    many.part = (index) => {
      looks++
      return part(index)
    }
    expect(place([many], "last:20000").positions).toEqual([0])
    expect([looks, many.reads]).toEqual([0, 0])
    expect(place([many], "last:5000").positions).toEqual([15_000])
    expect(looks).toBeLessThan(5 * 5000)
    looks = 0
    // As many parts as may be taken, which is fewer records than were asked for.
    expect(place([many], "last:15000").positions).toEqual([20_000 - 8192])
    expect(looks).toBeLessThan(5 * 8192)
    const large = logAt(
      1,
      Array.from({ length: 10_000 }, (_, i) => i),
      5000
    )
    expect(place([large], "last:904").positions).toEqual([9096])
    expect(place([large], "last:903").positions).toEqual([5000])
  })

  it("of last:N is exact over partitions, where times lie close and batches overlap", () => {
    const times = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 12 }).map((list) => list.sort((a, b) => a - b))
    fc.assert(
      fc.property(
        fc.array(times, { minLength: 1, maxLength: 4 }),
        fc.nat(30),
        fc.integer({ min: 1, max: 5 }),
        (all, n, perBatch) => {
          const own = all.map((list, partition) => logAt(partition, list, perBatch))
          const whole = readAll(own).map((text) => text.replace("!", ""))
          const last = readAll(own, `last:${n}`).map((text) => text.replace("!", ""))
          expect(last).toEqual(n === 0 ? [] : whole.slice(-n))
        }
      )
    )
  })
})

describe("filters", () => {
  it.each([
    ["a/b", "a/b", true],
    ["a/b", "a/c", false],
    ["a/+", "+/b", true],
    ["a/#", "a", true],
    ["a/#", "a/b/c", true],
    ["a/#", "b/#", false],
    ["+", "a/b", false],
    ["#", "$SYS/a", true],
    ["a/+/c", "a/b", false]
  ])("%s and %s overlap: %s", (one, other, expected) => {
    expect([overlap(one, other), overlap(other, one)]).toEqual([expected, expected])
  })

  it("match a record as they would its topic behind $stream/NAME", () => {
    expect(matchesRecord(undefined, undefined)).toBe(true)
    expect(matchesRecord("#", undefined)).toBe(true)
    expect(matchesRecord("+", undefined)).toBe(false)
    expect(matchesRecord("#", "$SYS/a")).toBe(true)
    expect(matchesRecord("+/a", "$SYS/a")).toBe(true)
    expect(matchesRecord("$SYS/#", "$SYS/a")).toBe(true)
    expect(matchesRecord("+/a", "b/a")).toBe(true)
    expect(matchesRecord("b/a", "b/b")).toBe(false)
  })
})

describe("a reader", () => {
  it("merges the history by time, and tells its last record; then it follows", () => {
    const logs = [logAt(0, [10, 20, 30]), logAt(1, [15, 25, 35])]
    const own = reader(logs)
    expect(places(lookAll(own))).toEqual(["0/0", "1/0", "0/1", "1/1", "0/2", "1/2!"])
    logs[1]!.append([{ timestampMs: 40 }])
    logs[0]!.append([{ timestampMs: 5 }, { timestampMs: 41 }])
    expect(places(lookAll(own))).toEqual(["0/3", "1/3", "0/4"])
  })

  it("keeps the order of a partition whose times go back", () => {
    expect(readAll([logAt(0, [30, 10, 20]), logAt(1, [15])])).toEqual(["1/0", "0/0", "0/1", "0/2!"])
  })

  it("is at the end of its history before it gives anything that came later", () => {
    const logs = [logAt(0, [10, 50]), logAt(1, [])]
    const own = reader(logs)
    logs[1]!.append([{ timestampMs: 20 }])
    expect(places(lookAll(own))).toEqual(["0/0", "0/1!", "1/0"])
  })

  it("has no last record of an empty history", () => {
    const logs = [logAt(0, [10])]
    const own = reader(logs, "latest")
    expect(places(lookAll(own))).toEqual([])
    logs[0]!.append([{ timestampMs: 20 }])
    expect(places(lookAll(own))).toEqual(["0/1"])
  })

  it("gives what the filter matches, the last of it marked, and passes over the rest", () => {
    const log = new TestLog()
    for (const topic of ["devices/1/up", "devices/2/up", "devices/1/down", "devices/3/up", "x"]) {
      log.append([{ timestampMs: 1, headers: mqttHeaders(topic) }])
    }
    const wanted = { stream: "s", topicFilter: "devices/+/up", noLocal: undefined }
    const own = new StreamReader(wanted, [log], place([log], "earliest"))
    expect(places(lookAll(own))).toEqual(["0/0", "0/1", "0/3!"])
    expect(own.positions()).toEqual([[0, 5]])
  })

  it("leaves out what the client itself has published, if that is wanted", () => {
    const log = new TestLog()
    for (const client of ["me", "you", "me"]) log.append([{ timestampMs: 1, headers: mqttHeaders("a", client) }])
    const own = new StreamReader(
      { stream: "s", topicFilter: undefined, noLocal: "me" },
      [log],
      place([log], "earliest")
    )
    expect(places(lookAll(own))).toEqual(["0/1!"])
  })

  it.each([
    ["now", ["0/0", "1/0", "0/1", "1/1!"]],
    ["25000", ["0/0", "1/0", "0/1!"]],
    ["offset:1:1", ["1/0!"]]
  ])("ends at %s", (until, expected) => {
    const logs = [logAt(0, [10, 20]), logAt(1, [15, 25])]
    const own = reader(logs, "earliest", until)
    expect(places(lookAll(own))).toEqual(expected)
    for (const log of logs) log.append([{ timestampMs: 50 }])
    expect(places(lookAll(own))).toEqual([])
    expect(own.isOver).toBe(true)
  })

  it("does not end before a time that is still to come", () => {
    const logs = [logAt(0, [10])]
    const own = reader(logs, "earliest", "30000")
    expect(places(lookAll(own))).toEqual(["0/0!"])
    logs[0]!.append([{ timestampMs: 20 }])
    expect([places(lookAll(own)), own.isOver]).toEqual([["0/1"], false])
    logs[0]!.append([{ timestampMs: 30 }])
    expect([places(lookAll(own)), own.isOver]).toEqual([[], true])
  })

  it("goes on at the oldest record where retention was faster, and says how many are missing", () => {
    const logs = [logAt(0, [10, 20, 30, 40, 50, 60]), logAt(1, [15])]
    const own = reader(logs)
    logs[0]!.expire(3)
    expect(places(lookAll(own))).toEqual(["1/0", "0/3+3", "0/4", "0/5!"])
  })

  it("passes over what compaction took away, up to the end of the history", () => {
    const log = new TestLog()
    const four = [10, 11, 12, 13].map((timestampMs) => ({ timestampMs }))
    log.append(four, (index) => index === 1).append(four, (index) => index === 0)
    const own = reader([log])
    expect(places(lookAll(own))).toEqual(["0/1", "0/4!"])
    expect(own.positions()).toEqual([[0, 8]])
  })

  it("gives nothing of a transaction before it is committed, nor of one that was aborted, and no markers", () => {
    const log = logAt(0, [10, 20])
    log
      .transactional([{ timestampMs: 30 }], false)
      .transactional([{ timestampMs: 40 }], true)
      .marker(50)
    log.openFrom = 2
    const reading = reader([log])
    expect(places(lookAll(reading))).toEqual(["0/0", "0/1!"])
    expect(readAll([log], "latest")).toEqual([])
    log.append([{ timestampMs: 60 }])
    expect(lookAll(reading)).toEqual([])
    expect(reading.positions()).toEqual([[0, 2]])
    log.decide()
    expect(places(lookAll(reading))).toEqual(["0/2", "0/5"])
    expect(reading.positions()).toEqual([[0, 6]])
    expect(readAll([log], "offset:0:1")).toEqual(["0/1", "0/2", "0/5!"])
  })

  it("begins at the last stable offset, and at an offset behind it where that is asked for", () => {
    const log = logAt(0, [10, 20])
    log.transactional([{ timestampMs: 30 }, { timestampMs: 40 }], false)
    log.openFrom = 2
    expect(place([log], "latest").positions).toEqual([2])
    expect(place([log], "last:1").positions).toEqual([1])
    expect(place([log], "earliest", "now").ends).toEqual([2])
    expect(place([log], "offset:0:3").positions).toEqual([3])
    const reading = reader([log], "offset:0:3")
    expect(lookAll(reading)).toEqual([])
    log.decide()
    expect(places(lookAll(reading))).toEqual(["0/3"])
  })

  it("gives nothing of an aborted transaction that it had read when compaction let it be forgotten", () => {
    const log = logAt(0, [10])
      .transactional([{ timestampMs: 20 }], true)
      .marker(30)
      .append([{ timestampMs: 40 }])
    const reading = reader([log])
    const first = reading.look()
    expect(log.reads).toBe(1)
    log.forgetAborted()
    expect(places([first, ...lookAll(reading)].filter((look) => typeof look !== "string"))).toEqual(["0/0", "0/3!"])
  })

  it("whose history ends with an aborted transaction tells its last record", () => {
    const log = logAt(0, [10, 20])
      .transactional([{ timestampMs: 30 }], true)
      .marker(40)
    expect(readAll([log])).toEqual(["0/0", "0/1!"])
  })

  it("holds no more than a few batches, and reads again what it has let go of", () => {
    const log = logAt(
      0,
      Array.from({ length: 100 }, (_, i) => i),
      10
    )
    const own = reader([log])
    for (let looks = 0; looks < 25; looks++) own.look()
    expect(own.heldBytes).toBeGreaterThan(0)
    const positions = own.positions()
    own.letGo()
    expect(own.heldBytes).toBe(0)
    expect(own.positions()).toEqual(positions)
    expect(places(lookAll(own))).toEqual([...Array.from({ length: 75 }, (_, i) => `0/${i + 24}`), "0/99!"])
  })

  it("gives everything once, in order, wherever another one has to go on", () => {
    const times = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 10 })
    fc.assert(
      fc.property(
        fc.array(times, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(6), { maxLength: 8 }),
        (all, breaks) => {
          const logs = all.map((list, partition) => logAt(partition, list, 3))
          const wanted = { stream: "s", topicFilter: undefined, noLocal: undefined }
          let reading = place(logs, "earliest")
          const found: Array<string> = []
          for (const looks of breaks) {
            const own = new StreamReader(wanted, logs, reading)
            for (let n = 0; n < looks; n++) {
              const look = own.look()
              if (typeof look !== "string") found.push(`${look.record.partition}/${look.record.offset}`)
            }
            const positions = [...reading.positions]
            for (const [partition, offset] of own.positions()) positions[partition] = offset
            reading = { ...reading, positions }
          }
          for (const { record } of lookAll(new StreamReader(wanted, logs, reading)))
            found.push(`${record.partition}/${record.offset}`)
          logs.forEach((log, partition) => {
            const own = found.filter((text) => text.startsWith(`${partition}/`))
            expect(own).toEqual(Array.from({ length: log.highWatermark }, (_, offset) => `${partition}/${offset}`))
          })
        }
      )
    )
  })
})
