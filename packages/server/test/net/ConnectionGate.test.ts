import { expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { ConnectionGate } from "../../src/net/ConnectionGate.ts"

const many = { connectionsMax: 100, connectionsPerAddressMax: 100, newConnectionsPerSecondMax: 100 }

const gateAt = (
  limits: Partial<typeof many>
): { readonly gate: ConnectionGate; readonly passes: (ms: number) => void } => {
  let nowMs = 1000
  const clock = { ...systemClock, nowMs: () => nowMs }
  return { gate: new ConnectionGate({ ...many, ...limits }, clock), passes: (ms) => void (nowMs += ms) }
}

it("admits connectionsMax of all addresses together, and another when one is released", () => {
  const { gate } = gateAt({ connectionsMax: 2 })
  const release = gate.admit("a")
  expect(gate.admit("b")).toBeDefined()
  expect(gate.admit("c")).toBeUndefined()
  expect([gate.open, gate.refused]).toEqual([2, 1])
  release!()
  release!()
  expect(gate.open).toBe(1)
  expect(gate.admit("c")).toBeDefined()
  expect(gate.admit("d")).toBeUndefined()
})

it("admits connectionsPerAddressMax of one address", () => {
  const { gate } = gateAt({ connectionsPerAddressMax: 1 })
  const release = gate.admit("a")
  expect(gate.admit("a")).toBeUndefined()
  expect(gate.admit("b")).toBeDefined()
  release!()
  expect(gate.admit("a")).toBeDefined()
})

it("admits newConnectionsPerSecondMax in a second, whether they stay or not", () => {
  const { gate, passes } = gateAt({ newConnectionsPerSecondMax: 2 })
  gate.admit("a")!()
  gate.admit("a")!()
  passes(999)
  expect(gate.admit("a")).toBeUndefined()
  passes(1)
  expect(gate.admit("a")).toBeDefined()
})
