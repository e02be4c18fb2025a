import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import { streamShareActor } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { MqttConnection } from "../../../src/mqtt/MqttConnection.ts"
import { Outgoing } from "../../../src/mqtt/Outgoing.ts"
import { RetainedFeed } from "../../../src/mqtt/RetainedFeed.ts"
import { StreamReader } from "../../../src/mqtt/streams/StreamReader.ts"
import { connected, type Kit, publishPacket, startKit, subscribePacket } from "../kit.ts"

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
  await kit.bind("orders", ["devices/#"])
})

afterEach(async () => {
  vi.restoreAllMocks()
  await kit.stop()
})

const throws = (): never => {
  throw new RangeError("planted")
}

/** Ends with its connection what another client does not notice. */
const expectOneEnds = async (act: (reader: Awaited<ReturnType<typeof connected>>) => Promise<void>): Promise<void> => {
  const error = vi.spyOn(kit.broker.log, "error").mockImplementation(() => undefined)
  const other = await connected(kit.port, { clientId: "other" })
  const reader = await connected(kit.port, { clientId: "reader" })
  await act(reader)
  expect((await reader.rest()).subarray(0, 1)).toEqual(Buffer.from([0xe0]))
  expect(error.mock.calls.map(([message]) => message)).toEqual(["mqtt: a defect closes the connection"])
  other.send(publishPacket("devices/other", "x", { qos: 1 }))
  expect((await other.packet())[0]).toBe(0x40)
  other.socket.destroy()
}

describe("a defect ends one connection, and not the process,", () => {
  it("in a turn in which its streams are read", async () => {
    vi.spyOn(StreamReader.prototype, "look").mockImplementation(throws)
    await expectOneEnds(async (reader) => {
      reader.send(subscribePacket(1, [["$stream/orders?from=earliest", 0]]))
      expect((await reader.packet())[0]).toBe(0x90)
    })
  })

  it("when its session's queue has more", async () => {
    await expectOneEnds(async () => {
      const connection = kit.mqtt.directory.get("reader")!.connection as MqttConnection
      vi.spyOn(Outgoing.prototype, "enqueue").mockImplementation(throws)
      const notice = { _tag: "Deliver", clientId: "reader", connectionId: connection.id, entries: [] } as const
      expect(() => kit.mqtt.onNotice(notice)).not.toThrow()
    })
  })

  it("when retained messages go on behind a page", async () => {
    await expectOneEnds(async () => {
      const { feed } = kit.mqtt.directory.get("reader")!.connection as MqttConnection
      vi.spyOn(RetainedFeed.prototype, "pump").mockImplementation(throws)
      expect(() => feed.acked()).not.toThrow()
    })
  })

  it("when its socket takes more again", async () => {
    await expectOneEnds(async () => {
      const { connection } = kit.mqtt.directory.get("reader")!
      // Is made when it is first used.
      void connection!.outgoing
      vi.spyOn(Outgoing.prototype, "pump").mockImplementation(throws)
      expect(connection).toBeInstanceOf(MqttConnection)
      expect(() => (connection as MqttConnection).onDrain()).not.toThrow()
    })
  })
})

describe("a defect in the reading of a group", () => {
  it("ends that, and none of its members", async () => {
    const error = vi.spyOn(kit.broker.log, "error").mockImplementation(() => undefined)
    vi.spyOn(StreamReader.prototype, "look").mockImplementation(throws)
    for (const clientId of ["a", "b"]) {
      const member = await connected(kit.port, { clientId })
      member.send(subscribePacket(1, [["$share/g/$stream/orders?from=earliest", 1]]))
      expect((await member.packet())[0]).toBe(0x90)
      member.send(publishPacket("devices/other", "x", { qos: 1 }))
      expect((await member.packet())[0]).toBe(0x40)
      expect(member.isClosed).toBe(false)
    }
    await expect
      .poll(() => error.mock.calls)
      .toEqual([
        [
          "mqtt: a defect ends the reading of a group",
          { filter: "$share/g/$stream/orders", error: "RangeError: planted" }
        ]
      ])
  })
})

describe("a stream that cannot be read", () => {
  it("ends the connection of its reader, and the log says which stream it is", async () => {
    const error = vi.spyOn(kit.broker.log, "error").mockImplementation(() => undefined)
    vi.spyOn(StreamReader.prototype, "look").mockImplementation(() => {
      throw new JournalError("Corrupt", "planted")
    })
    const reader = await connected(kit.port, { clientId: "reader" })
    reader.send(subscribePacket(1, [["$stream/orders?from=earliest", 0]]))
    expect((await reader.packet())[0]).toBe(0x90)
    expect((await reader.rest()).subarray(0, 1)).toEqual(Buffer.from([0xe0]))
    expect(error.mock.calls).toEqual([
      ["mqtt: a stream cannot be read", { filter: "$stream/orders", error: "planted" }]
    ])
  })
})

describe("a group that reads a stream, whose actor throws,", () => {
  it("is refused with 0x80, and what is subscribed beside it is granted", async () => {
    await kit.stop()
    const defects = new Set<string>()
    kit = await startKit({ onDefect: (where) => defects.add(where) })
    await kit.bind("orders", ["devices/#"])
    const group = "$share/g/$stream/orders"
    const reader = await connected(kit.port, { clientId: "reader" })
    reader.send(subscribePacket(1, [[group, 1]]))
    expect((await reader.packet()).at(-1)).toBe(1)
    const live = kit.shard.actors.get(streamShareActor(group))!
    Object.assign(live, { definition: { ...live.definition, decide: throws } })
    const other = await connected(kit.port, { clientId: "other" })
    other.send(
      subscribePacket(1, [
        [group, 1],
        ["plain", 1]
      ])
    )
    expect([...(await other.packet()).subarray(-2)]).toEqual([0x80, 1])
    expect([...defects]).toEqual([streamShareActor(group)])
    for (const client of [reader, other]) client.socket.destroy()
  })
})

describe("a session whose actor throws at a group that reads a stream", () => {
  it("loses its connection without an answer, as at any other subscription", async () => {
    await kit.stop()
    const defects = new Set<string>()
    kit = await startKit({ onDefect: (where) => defects.add(where) })
    await kit.bind("orders", ["devices/#"])
    const group = "$share/g/$stream/orders"
    const reader = await connected(kit.port, { clientId: "reader" })
    const live = kit.shard.actors.get(sessionActor("reader"))!
    const { decide } = live.definition
    const decideOthers = (...args: Parameters<typeof decide>): ReturnType<typeof decide> =>
      JSON.stringify(args[1]).includes(group) ? throws() : decide(...args)
    Object.assign(live, { definition: { ...live.definition, decide: decideOthers } })
    reader.send(
      subscribePacket(1, [
        ["plain", 1],
        [group, 1]
      ])
    )
    expect((await reader.rest()).subarray(0, 1)).toEqual(Buffer.from([0xe0]))
    expect([...defects]).toEqual([sessionActor("reader")])
  })
})
