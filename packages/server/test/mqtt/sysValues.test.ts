import { describe, expect, it } from "vitest"
import { type SysCounts, sysTopics, SysValues } from "../../src/mqtt/sysValues.ts"

const counts: SysCounts = {
  version: "1.2.3",
  uptimeMs: 61_900,
  sockets: 7,
  connects: 6,
  clientsConnected: 3,
  clientsMaximum: 5,
  clientsTotal: 4,
  clientsExpired: 2,
  subscriptions: 10,
  sharedSubscriptions: 1,
  retained: 8,
  packetsReceived: 100,
  packetsSent: 200,
  bytesReceived: 1000,
  bytesSent: 2000,
  messagesReceived: 40,
  messagesSent: 50,
  messagesDropped: 9,
  streams: 11,
  records: 12,
  recordBytes: 13
}

const read = (values: SysValues, changes: Partial<SysCounts>): ReadonlyMap<string, string> => {
  const texts = values.read({ ...counts, ...changes })
  return new Map(sysTopics.map((topic, at) => [topic.slice("$SYS/broker/".length), texts[at]!]))
}

/** The three averages of PUBLISH packets received a minute. */
const load = (values: SysValues, uptimeMs: number, messagesReceived: number): ReadonlyArray<string | undefined> => {
  const texts = read(values, { uptimeMs, messagesReceived })
  return ["1min", "5min", "15min"].map((name) => texts.get(`load/publish/received/${name}`))
}

describe("the values under $SYS", () => {
  it("have Mosquitto's names and formats", () => {
    const plain = [...read(new SysValues(), {})].filter(([topic]) => !topic.startsWith("load/"))
    expect(Object.fromEntries(plain)).toEqual({
      version: "logbrook version 1.2.3",
      uptime: "61 seconds",
      "clients/total": "4",
      "clients/connected": "3",
      "clients/disconnected": "1",
      "clients/maximum": "5",
      "clients/expired": "2",
      "messages/received": "100",
      "messages/sent": "200",
      "publish/messages/received": "40",
      "publish/messages/sent": "50",
      "publish/messages/dropped": "9",
      "bytes/received": "1000",
      "bytes/sent": "2000",
      "retained messages/count": "8",
      "subscriptions/count": "10",
      "shared_subscriptions/count": "1",
      "streams/count": "11",
      "streams/records": "12",
      "streams/bytes": "13"
    })
    expect(sysTopics.filter((topic) => topic.includes("/load/"))).toHaveLength(9 * 3)
  })

  it("average what came in a minute over 1, 5 and 15 minutes, from nothing on", () => {
    const values = new SysValues()
    // 60 in the first minute: 60 * (1 - e^-1), 60 * (1 - e^-1/5), 60 * (1 - e^-1/15).
    expect(load(values, 60_000, 60)).toEqual(["37.93", "10.88", "3.87"])
    // Nothing in the second: each falls by its factor.
    expect(load(values, 120_000, 60)).toEqual(["13.95", "8.90", "3.62"])
  })

  it("are the same whether a steady rate is read often or once", () => {
    const often = new SysValues()
    for (let s = 10; s < 600; s += 10) load(often, s * 1000, s)
    const once = load(new SysValues(), 600_000, 600)
    expect(load(often, 600_000, 600)).toEqual(once)
    expect(once).toEqual(["60.00", "51.88", "29.19"])
  })

  it("stay when they are read twice at one moment", () => {
    const values = new SysValues()
    const once = load(values, 60_000, 60)
    expect(load(values, 60_000, 61)).toEqual(once)
  })
})
