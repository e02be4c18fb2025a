import { systemClock } from "@logbrook/core/Clock"
import { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { expect, it } from "vitest"
import { ConnectionGate } from "../../src/net/ConnectionGate.ts"
import { type ListenerLimits, noListenerLimits } from "../../src/net/Listener.ts"

let nowMs = 1000
const clock = { ...systemClock, monotonicMs: () => nowMs }

const perAddress = 10

const gateWith = (connectionsMax = 100): ConnectionGate => {
  const many = {
    connectionsPerAddressMax: perAddress,
    newConnectionsPerSecondMax: 100,
    preAuthConnectionsMax: 100,
    preAuthConnectionsPerAddressMax: 100,
    refusalsToldMax: 100
  }
  return new ConnectionGate({ connectionsMax, ...many }, clock, new MemoryAccount(1e9))
}

/** A gate with a listener of these limits, and one without any. */
const listeners = (limits: Partial<ListenerLimits>, connectionsMax?: number) => {
  const gate = gateWith(connectionsMax)
  const bounded = gate.ofListener("bounded", "mqtt", { ...noListenerLimits, ...limits })
  const free = gate.ofListener("free", "kafka", noListenerLimits)
  return { gate, bounded, free }
}

it("lets in connectionsMax of a listener, whatever there is at others", () => {
  const { gate, bounded, free } = listeners({ connectionsMax: 1 })
  const first = gate.admit("a", bounded)!
  expect(gate.admit("b", bounded)).toBeUndefined()
  expect(gate.admit("b", free)).toBeDefined()
  expect([gate.open, bounded.open, free.open]).toEqual([2, 1, 1])
  expect([gate.refused, bounded.refused, free.refused]).toEqual([1, 1, 0])
  first.release()
  first.release()
  expect([gate.open, bounded.open]).toEqual([1, 0])
  expect(gate.admit("b", bounded)).toBeDefined()
})

it("lets in connectionsPerAddressMax of a listener from one address, also of those that move to it", () => {
  const { gate, bounded, free } = listeners({ connectionsPerAddressMax: 1 })
  const first = gate.admit("a", bounded)!
  expect(gate.admit("a", bounded)).toBeUndefined()
  expect(gate.admit("a", free)).toBeDefined()
  const proxied = gate.admit("balancer", bounded)!
  expect(proxied.movesTo("a")).toBe(false)
  expect(proxied.movesTo("b")).toBe(true)
  expect(gate.admit("b", bounded)).toBeUndefined()
  // The balancer has its place again.
  expect(gate.admit("balancer", bounded)).toBeDefined()
  proxied.release()
  first.release()
  expect(gate.admit("a", bounded)).toBeDefined()
  expect(gate.admit("b", bounded)).toBeDefined()
})

it("lets in newConnectionsPerSecondMax of a listener, whether they stay or not", () => {
  const { gate, bounded, free } = listeners({ newConnectionsPerSecondMax: 1 })
  gate.admit("a", bounded)!.release()
  expect(gate.admit("a", bounded)).toBeUndefined()
  expect(gate.admit("a", free)).toBeDefined()
  nowMs += 1000
  expect(gate.admit("a", bounded)).toBeDefined()
})

it("counts what the server's own limits refuse as refused by the listener, too, and takes no place there", () => {
  const { gate, bounded } = listeners({ newConnectionsPerSecondMax: 2 }, 1)
  const first = gate.admit("a", bounded)!
  expect(gate.admit("b", bounded)).toBeUndefined()
  expect([gate.refused, bounded.refused, bounded.open]).toEqual([1, 1, 1])
  first.release()
  expect(gate.admit("b", bounded)).toBeDefined()
})

it("counts one that the server's own limits do not let move to its address", () => {
  const { gate, bounded, free } = listeners({})
  for (let i = 0; i < perAddress; i++) gate.admit("a", free)!.authenticated()
  const proxied = gate.admit("balancer", bounded)!
  expect(proxied.movesTo("a")).toBe(false)
  expect([gate.refused, bounded.refused, free.refused]).toEqual([1, 1, 0])
  proxied.release()
  expect(bounded.open).toBe(0)
})
