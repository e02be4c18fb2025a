import { expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ConnectionGate } from "../../src/net/ConnectionGate.ts"

const many = {
  connectionsMax: 100,
  connectionsPerAddressMax: 100,
  newConnectionsPerSecondMax: 100,
  preAuthConnectionsMax: 100,
  preAuthConnectionsPerAddressMax: 100
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
