import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import { Incoming } from "@logbrook/server/mqtt/Incoming"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import { Outgoing } from "@logbrook/server/mqtt/Outgoing"
import { Admission } from "@logbrook/server/net/ConnectionGate"
import { Batch, batchSize, Finding } from "./fuzz/mqtt/Batch.ts"
import { compared, type Extent, type Fate } from "./fuzz/mqtt/comparison.ts"
import { type Conversation, conversationOf } from "./fuzz/mqtt/Conversation.ts"
import { addTo, areEnough, type Extents, noExtents, sumOfExtents } from "./fuzz/mqtt/extents.ts"
import { type Delivery, sentOf } from "./fuzz/mqtt/fate.ts"
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

/** The first finding among so many conversations, of those that are carried. */
const findingOf = (
  count: number,
  isCarried: (conversation: Conversation) => boolean = () => true
): Finding | undefined => {
  let batch = new Batch(turns)
  for (let number = 0; number < count; number++) {
    if (number > 0 && number % batchSize === 0) batch = new Batch(turns)
    if (!isCarried(conversationOf(number))) continue
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

const deliveriesAreLost: PlantedFault = {
  name: "a delivery is lost when bytes come one by one",
  plant: () => ({
    install: () => {
      const { onChunk } = MqttConnection.prototype
      const { deliver } = Outgoing.prototype
      let chunkBytes = 0
      MqttConnection.prototype.onChunk = function (chunk) {
        chunkBytes = chunk.length
        onChunk.call(this, chunk)
      }
      Outgoing.prototype.deliver = function (...message) {
        if (chunkBytes > 1) deliver.apply(this, message)
      }
      return () => {
        MqttConnection.prototype.onChunk = onChunk
        Outgoing.prototype.deliver = deliver
      }
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
  [answersAreLost, /^answers differ/],
  [deliveriesAreLost, /^deliveries differ/],
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

  // Each was a finding of a long run: filters twice in a SUBSCRIBE, a message that is too large for its client, twice other members who share, and a
  // window that an earlier connection has filled in part.
  it.each([1_423_083_006, 4_311_170_728, 11_160_547, 11_582_588, 11_760_364])(
    "come out as they have to: %i",
    (number) => {
      const batch = new Batch(turns)
      for (let each = number - (number % batchSize); each <= number; each++) batch.converse(each)
    }
  )

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

describe("a delivery that is lost when bytes come one by one", () => {
  it("is found where all clients close at once, so that the others may have lost it", () => {
    const putBack = deliveriesAreLost.plant().install!()
    try {
      expect(findingOf(searched, ({ end }) => end === "closes")?.message).toMatch(/^deliveries differ/)
    } finally {
      putBack()
    }
  })
})

const delivery = (topic: string, wantsAck = false): Delivery => ({ topic, wantsAck, text: `${topic} ${wantsAck}` })

const fate = (parts: Partial<Fate> = {}): Fate => ({
  answers: "",
  releases: "",
  refusals: "",
  left: "",
  deliveries: [],
  tooLarge: 0,
  sessionBytes: "",
  waiting: "",
  withIds: "",
  hasEnded: false,
  isFull: false,
  shared: new Set(),
  ...parts
})

/** Of a client whose connection ends in all ways, and who gets these when it waits, and those when it does not. */
const afterAnEnd = (waited: Partial<Fate>, other: Partial<Fate>, acknowledges = false) => {
  const fates = [fate({ hasEnded: true, ...other }), fate({ hasEnded: true, ...waited })]
  return compared(fates, fates[1]!, acknowledges)
}

const counted = (extent: Extent, count: number, delivering: number): Extents => {
  const extents = noExtents()
  for (let i = 0; i < count; i++) addTo(extents, { extent, delivers: i < delivering })
  return extents
}

const [a, b, c] = [delivery("a"), delivery("b"), delivery("c", true)]

describe("fates are compared", () => {
  it("in full, where a connection stays or nothing is delivered", () => {
    const kept = (deliveries: ReadonlyArray<Delivery>) => compared([fate({ deliveries }), fate()], fate(), false)
    expect(kept([])).toEqual({ extent: "full", differs: undefined, isSame: true })
    expect(kept([a])).toEqual({ extent: "full", differs: "deliveries", isSame: false })
    const waits = fate({ deliveries: [a] })
    expect(compared([fate(), waits], waits, false)).toEqual({ extent: "full", differs: "deliveries", isSame: false })
  })

  it("at an end: who has waited has all that another one has, as often", () => {
    const both = { deliveries: [a, b] }
    expect(afterAnEnd(both, { deliveries: [b] })).toEqual({ extent: "end", differs: undefined, isSame: false })
    expect(afterAnEnd(both, { deliveries: [b, a] })).toEqual({ extent: "end", differs: undefined, isSame: true })
    expect(afterAnEnd({ deliveries: [b] }, both).differs).toBe("deliveries")
    expect(afterAnEnd(both, { deliveries: [b, b] }).differs).toBe("deliveries")
    expect(afterAnEnd({}, { deliveries: [b] })).toEqual({ extent: "full", differs: "deliveries", isSame: false })
  })

  it("with messages that are too large to be sent, and count as delivered", () => {
    const waits = { sessionBytes: "1" }
    expect(afterAnEnd({ tooLarge: 1 }, waits)).toEqual({ extent: "end", differs: undefined, isSame: false })
    expect(afterAnEnd({ tooLarge: 1 }, { tooLarge: 1 })).toEqual({ extent: "end", differs: undefined, isSame: true })
    expect(afterAnEnd({ tooLarge: 1 }, { ...waits, tooLarge: 1 }).differs).toBe("sessionBytes")
    expect(afterAnEnd({}, { tooLarge: 1 }).differs).toBe("deliveries")
    const open = fate({ tooLarge: 1 })
    expect(compared([fate(), open], open, false)).toEqual({ extent: "full", differs: "deliveries", isSame: false })
  })

  it("at a full window: only what needs none is the same", () => {
    const swapped = { deliveries: [a, c], isFull: true }
    expect(afterAnEnd({ deliveries: [a] }, swapped)).toEqual({ extent: "open", differs: undefined, isSame: false })
    expect(afterAnEnd({ deliveries: [c] }, swapped).differs).toBe("deliveries")
    const full = { deliveries: [c], isFull: true }
    const waits = { ...full, sessionBytes: "1" }
    expect(afterAnEnd(full, waits)).toEqual({ extent: "open", differs: undefined, isSame: false })
    expect(afterAnEnd({ deliveries: [c] }, { ...waits, isFull: false }).differs).toBe("sessionBytes")
  })

  it("without what several share", () => {
    const shared = new Set(["a/#"])
    const of = (topic: string) => afterAnEnd({}, { deliveries: [delivery(topic)], shared })
    expect(of("a/1")).toEqual({ extent: "open", differs: undefined, isSame: false })
    expect(of("b").differs).toBe("deliveries")
    const open = { extent: "open", differs: undefined, isSame: false }
    const waits = [fate({ shared, sessionBytes: "1" }), fate({ shared })]
    expect(compared(waits, waits[1]!, false)).toEqual(open)
    // As many bytes, and other messages: what comes next is not to be compared.
    const others = [fate({ shared, waiting: "1" }), fate({ shared })]
    expect(compared(others, others[1]!, false)).toEqual(open)
  })

  it("in answers, refusals and what is left, whatever was delivered", () => {
    for (const part of ["answers", "refusals", "left"] as const) {
      expect(afterAnEnd({ withIds: "1" }, { withIds: "2", [part]: "x" }, true).differs).toBe(part)
    }
    expect(afterAnEnd({ releases: "1" }, { releases: "2" }).differs).toBe("releases")
    expect(afterAnEnd({ sessionBytes: "1" }, { sessionBytes: "2" }).differs).toBe("sessionBytes")
  })

  it("but for PUBREL, where a client acknowledges packet ids that stand for other messages", () => {
    const ids = [
      { withIds: "1", releases: "1" },
      { withIds: "2", releases: "2" }
    ] as const
    expect(afterAnEnd(...ids, true)).toEqual({ extent: "ids", differs: undefined, isSame: false })
    expect(afterAnEnd(...ids, false).differs).toBe("releases")
    const refused = { withIds: "2", refusals: "PUBCOMP for a message of QoS 1 that was sent", left: "x" }
    expect(afterAnEnd({ withIds: "1" }, refused, true).extent).toBe("none")
    expect(afterAnEnd({ withIds: "2" }, refused, true).differs).toBe("refusals")
  })

  it("by what a delivery says, not by its packet id, DUP or topic alias", () => {
    const connack = "20020000"
    // Topic a with alias 1, and alias 1 alone; of QoS 1, with packet ids 1 and 2, the second with DUP.
    const first = `${connack}320a000161000103230001783a090000000203230001`
    const { deliveries, withIds, idsUsed } = sentOf(Buffer.from(`${first}786202000262020007`, "hex"), 5)
    expect(idsUsed).toBe(3)
    expect(deliveries).toEqual([
      { topic: "a", wantsAck: true, text: deliveries[1]!.text },
      { topic: "a", wantsAck: true, text: deliveries[0]!.text }
    ])
    expect(new Set(withIds).size).toBe(2)
    const [other] = sentOf(Buffer.from(`${connack}320a00016100010323000179`, "hex"), 5).deliveries
    expect(other!.text).not.toBe(deliveries[0]!.text)
  })

  it("and counted; too few in full fail a run", () => {
    const usual = [counted("full", 9000, 120), counted("end", 600, 600)]
    expect(areEnough(counted("open", 9000, 0))).toBe(true)
    expect(sumOfExtents(usual)).toEqual({
      all: { full: 9000, end: 600, open: 0, ids: 0, none: 0 },
      delivering: { full: 120, end: 600, open: 0, ids: 0, none: 0 }
    })
    expect(areEnough(sumOfExtents([...usual, counted("open", 400, 300)]))).toBe(true)
    expect(areEnough(sumOfExtents([...usual, counted("open", 900, 900)]))).toBe(false)
    expect(areEnough(sumOfExtents([...usual, counted("end", 1500, 1500)]))).toBe(false)
    expect(areEnough(sumOfExtents([...usual, counted("open", 3000, 0)]))).toBe(false)
  })
})
