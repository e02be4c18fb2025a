import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import { Incoming } from "@logbrook/server/mqtt/Incoming"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import { Admission } from "@logbrook/server/net/ConnectionGate"
import { Batch, batchSize, Finding } from "./fuzz/mqtt/Batch.ts"
import { conversationOf } from "./fuzz/mqtt/Conversation.ts"
import { Turns } from "./fuzz/mqtt/Turns.ts"
import { inMethod, type PlantedFault } from "./simulation/faults/Hooks.ts"

// A first look at what `npm run fuzz:mqtt` does a million times, and that it finds what it is for.

const conversations = 400
const searched = 2000

let turns: Turns

beforeEach(() => {
  turns = new Turns()
})
afterEach(() => turns.restore())

/** The first finding among so many conversations. */
const findingOf = (count: number): Finding | undefined => {
  let batch = new Batch(turns)
  for (let number = 0; number < count; number++) {
    if (number > 0 && number % batchSize === 0) batch = new Batch(turns)
    try {
      batch.converse(number)
    } catch (error) {
      if (error instanceof Finding) return error
      throw error
    }
  }
  return undefined
}

/** A connection that ends waits for the messages that it has taken. */
const answersAreLost: PlantedFault = {
  name: "answers are lost at a close",
  plant: () => ({
    install: () => {
      const own = Object.getOwnPropertyDescriptor(Incoming.prototype, "isWaiting")!
      Object.defineProperty(Incoming.prototype, "isWaiting", { ...own, get: () => false })
      return () => void Object.defineProperty(Incoming.prototype, "isWaiting", own)
    }
  })
}

/** Each with what the finding says. */
const faults: ReadonlyArray<readonly [PlantedFault, RegExp]> = [
  [
    inMethod("a packet that came in parts lacks its last byte now and then", Splitter.prototype, "push", (original) => {
      let count = 0
      return (self: Splitter, chunk: Uint8Array, onPacket: (packet: Uint8Array) => void) => {
        const isPart = self.pendingBytes > 0 && ++count % 50 === 0
        return original(self, chunk, isPart ? (packet: Uint8Array) => onPacket(packet.subarray(0, -1)) : onPacket)
      }
    }),
    /whole:[^]*bytes:/
  ],
  [answersAreLost, /^whole:/],
  [
    inMethod("PUBREL of one packet id throws", Incoming.prototype, "release", (original) => {
      return (self: Incoming, packetId: number) => {
        if (packetId === 3) throw new TypeError("planted")
        return original(self, packetId)
      }
    }),
    /a defect closes the connection[^]*planted/
  ],
  [
    inMethod("the end of the client's side is passed over", MqttConnection.prototype, "ended", () => () => undefined),
    /it hangs: the client has closed its side/
  ],
  [
    inMethod("a connection's memory stays on the account", Admission.prototype, "release", () => () => undefined),
    /1 connections and \d+ bytes are left/
  ]
]

describe("mutated MQTT conversations", () => {
  it("have one fate however their bytes are cut", () => {
    expect(findingOf(conversations)?.message).toBeUndefined()
  })

  it("are the same for a number, and of every kind", () => {
    expect(conversationOf(17)).toEqual(conversationOf(17))
    const all = Array.from({ length: 300 }, (_, number) => conversationOf(number))
    expect(new Set(all.map(({ version }) => version))).toEqual(new Set([3, 4, 5]))
    expect(new Set(all.map(({ end }) => end)).size).toBe(4)
    const types = all.flatMap(({ bursts }) => bursts.map((burst) => (burst[0] ?? 0) >>> 4))
    expect(new Set(types).size).toBeGreaterThan(10)
  })

  for (const [fault, says] of faults) {
    it(`find it when ${fault.name}`, () => {
      const putBack = fault.plant().install!()
      try {
        expect(findingOf(searched)?.message).toMatch(says)
      } finally {
        putBack()
      }
    })
  }
})
