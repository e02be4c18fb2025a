import { expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ConnectionGate } from "../../src/net/ConnectionGate.ts"
import { noListenerLimits } from "../../src/net/Listener.ts"

const many = {
  connectionsMax: 100,
  connectionsPerAddressMax: 100,
  newConnectionsPerSecondMax: 100,
  preAuthConnectionsMax: 100,
  preAuthConnectionsPerAddressMax: 100,
  refusalsToldMax: 100
}

const gateAt = (
  limits: Partial<typeof many>,
  memory = new MemoryAccount(1e9)
): { readonly gate: ConnectionGate; readonly passes: (ms: number) => void } => {
  let nowMs = 1000
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  return { gate: new ConnectionGate({ ...many, ...limits }, clock, memory), passes: (ms) => void (nowMs += ms) }
}

it("admits connectionsMax of all addresses together, and another when one is released", () => {
  const { gate } = gateAt({ connectionsMax: 2 })
  const admission = gate.admit("a")
  expect(gate.admit("b")).toBeDefined()
  expect(gate.admit("c")).toBeUndefined()
  expect([gate.open, gate.refused]).toEqual([2, 1])
  admission!.release()
  admission!.release()
  expect(gate.open).toBe(1)
  expect(gate.admit("c")).toBeDefined()
  expect(gate.admit("d")).toBeUndefined()
})

it("admits connectionsPerAddressMax of one address", () => {
  const { gate } = gateAt({ connectionsPerAddressMax: 1 })
  const admission = gate.admit("a")
  expect(gate.admit("a")).toBeUndefined()
  expect(gate.admit("b")).toBeDefined()
  admission!.release()
  expect(gate.admit("a")).toBeDefined()
})

it("keeps nothing for an address whose connections have all ended", () => {
  const { gate } = gateAt({})
  const [first, second] = [gate.admit("a"), gate.admit("a")]
  gate.admit("b")
  first!.release()
  expect(gate.addresses).toBe(2)
  second!.release()
  expect(gate.addresses).toBe(1)
})

it("admits newConnectionsPerSecondMax in a second, whether they stay or not", () => {
  const { gate, passes } = gateAt({ newConnectionsPerSecondMax: 2 })
  gate.admit("a")!.release()
  gate.admit("a")!.release()
  passes(999)
  expect(gate.admit("a")).toBeUndefined()
  passes(1)
  expect(gate.admit("a")).toBeDefined()
})

it("admits preAuthConnectionsMax that have not said who they are", () => {
  const { gate } = gateAt({ preAuthConnectionsMax: 1 })
  const first = gate.admit("a")!
  expect(gate.admit("b")).toBeUndefined()
  first.authenticated()
  first.authenticated()
  const second = gate.admit("b")!
  expect(gate.admit("c")).toBeUndefined()
  second.release()
  second.release()
  first.release()
  expect([gate.open, gate.preAuth]).toEqual([0, 0])
})

it("admits preAuthConnectionsPerAddressMax of one address that have not said who they are", () => {
  const { gate } = gateAt({ preAuthConnectionsPerAddressMax: 1 })
  const first = gate.admit("a")!
  expect(gate.admit("a")).toBeUndefined()
  const other = gate.admit("b")!
  first.authenticated()
  first.authenticated()
  const second = gate.admit("a")!
  expect(gate.admit("a")).toBeUndefined()
  second.release()
  const third = gate.admit("a")!
  for (const admission of [first, other, third]) admission.release()
  expect(gate.admit("a")).toBeDefined()
  expect([gate.open, gate.preAuth]).toEqual([1, 1])
})

it("admits nobody whom there is no memory for, and gives back what a connection had when it is released", () => {
  const memory = new MemoryAccount(100_000)
  const { gate } = gateAt({}, memory)
  const admissions = Array.from({ length: 3 }, () => gate.admit("a"))
  expect(admissions.map((admission) => admission !== undefined)).toEqual([true, true, false])
  const [first] = admissions
  first!.add("transit", 5000)
  first!.add("connections", 300)
  first!.add("transit", -1000)
  expect(memory.bytes("transit")).toBe(4000)
  expect(first!.hasRoom("connections", memory.budget("connections"))).toBe(false)
  first!.release()
  expect(memory.bytes("transit")).toBe(0)
  first!.add("transit", 7)
  expect(memory.bytes("transit")).toBe(0)
  admissions[1]!.release()
  expect(memory.bytes("connections")).toBe(0)
  expect(gate.admit("a")).toBeDefined()
})

const tellingAt = (limits: Partial<typeof many>, memory?: MemoryAccount) => {
  const { gate, passes } = gateAt(limits, memory)
  const listener = gate.ofListener("mqtt", "mqtt", noListenerLimits)
  return { gate, passes, listener, admitOrTell: (address: string) => gate.admitOrTell(address, listener) }
}

it("tells which limit a connection is above: that of all, of its address, or of the second", () => {
  for (const [limits, excess] of [
    [{ connectionsMax: 1 }, "connections"],
    [{ preAuthConnectionsMax: 1 }, "connections"],
    [{ connectionsPerAddressMax: 1 }, "address"],
    [{ preAuthConnectionsPerAddressMax: 1 }, "address"],
    [{ newConnectionsPerSecondMax: 1 }, "rate"]
  ] as const) {
    const { gate, listener, admitOrTell } = tellingAt(limits)
    expect(admitOrTell("a")!.excess).toBeUndefined()
    expect(admitOrTell("a")!.excess).toBe(excess)
    expect([gate.open, gate.told, gate.refused, listener.open, listener.refused]).toEqual([1, 1, 1, 1, 1])
  }
})

it("tells refusalsToldMax at a time, and as many in a second; those that are told take nobody's place", () => {
  const { gate, passes, admitOrTell } = tellingAt({ connectionsMax: 1, refusalsToldMax: 2 })
  const inside = admitOrTell("a")!
  const told = [admitOrTell("b")!, admitOrTell("c")!]
  expect(admitOrTell("d")).toBeUndefined()
  // Their places are free again, but not in this second.
  for (const each of told) each.release()
  for (const each of told) each.release()
  expect([gate.open, gate.told]).toEqual([1, 0])
  expect(admitOrTell("d")).toBeUndefined()
  passes(1000)
  const later = [admitOrTell("b")!, admitOrTell("c")!]
  passes(1000)
  // In a new second, but the places are taken.
  expect(admitOrTell("d")).toBeUndefined()
  later[0]!.release()
  expect(admitOrTell("d")!.excess).toBe("connections")
  inside.release()
  expect(admitOrTell("d")!.excess).toBeUndefined()
  expect(gate.refused).toBe(7 + 1)
})

it("tells nobody for whom there is no memory, and has those that are told on the account", () => {
  const memory = new MemoryAccount(100_000)
  const { admitOrTell } = tellingAt({ connectionsMax: 1 }, memory)
  admitOrTell("a")
  const before = memory.bytes("connections")
  const told = admitOrTell("b")!
  expect(told.excess).toBe("connections")
  expect(memory.bytes("connections")).toBe(2 * before)
  expect(admitOrTell("c")).toBeUndefined()
  told.release()
  expect(memory.bytes("connections")).toBe(before)
  expect(admitOrTell("c")).toBeDefined()
})

it("tells one that turns out to be of an address with too many, and gives up its place", () => {
  const { gate, listener, admitOrTell } = tellingAt({ connectionsPerAddressMax: 1, refusalsToldMax: 1 })
  admitOrTell("a")
  const [balanced, other] = [admitOrTell("balancer")!, gate.admit("another", listener)!]
  expect(balanced.movesTo("a")).toBe(true)
  expect(balanced.excess).toBe("address")
  expect([gate.open, gate.preAuth, gate.told, gate.refused, listener.open, listener.refused]).toEqual([
    2, 2, 1, 1, 2, 1
  ])
  // Its protocol has no way to be told.
  expect(other.movesTo("a")).toBe(false)
  // One that is told already is told, wherever it is from.
  expect(balanced.movesTo("another")).toBe(true)
  expect(balanced.excess).toBe("address")
  balanced.release()
  expect([gate.open, gate.told, gate.addresses]).toEqual([2, 0, 2])
  expect(admitOrTell("balancer")!.excess).toBeUndefined()
})
