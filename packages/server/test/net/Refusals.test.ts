import type { RecordRefusals } from "@logbrook/actors/client/Client"
import { systemClock } from "@logbrook/core/Clock"
import { expect, it } from "vitest"
import type { Broker } from "../../src/Broker.ts"
import type { Fields } from "../../src/Log.ts"
import { Refusals } from "../../src/net/Refusals.ts"

const refusal = {
  clientId: "a",
  address: "10.0.0.1",
  code: "0x97",
  reason: "full",
  topic: "t",
  isLogged: false
} as const

const make = () => {
  const asks: Array<{ to: string; command: RecordRefusals }> = []
  const lines: Array<{ message: string; fields: Fields }> = []
  const warn = (message: string, fields: Fields) => void lines.push({ message, fields })
  const clock = { ...systemClock, monotonicMs: () => 0, after: () => () => undefined }
  const shard = { tell: (to: string, command: RecordRefusals) => asks.push({ to, command }) }
  const refusals = new Refusals({ clock, shards: shard, log: { warn } } as unknown as Broker, "kafka")
  return { refusals, asks, lines }
}

it("counts by client and by code", () => {
  const { refusals, asks, lines } = make()
  for (const topic of [undefined, "first", "second"]) refusals.add({ ...refusal, topic })
  refusals.add({ ...refusal, code: "0x87", isLogged: true })
  refusals.add({ ...refusal, clientId: "b" })
  refusals.flush()
  expect(asks.map(({ to }) => to)).toEqual(["client/a", "client/b"])
  expect(asks[0]!.command.refused).toEqual([
    { code: "0x97", reason: "full", count: 3, topic: "first" },
    { code: "0x87", reason: "full", count: 1, topic: "t" }
  ])
  expect(lines.map(({ fields }) => [fields["client"], fields["code"], fields["count"]])).toEqual([
    ["a", "0x97", 3],
    ["b", "0x97", 1]
  ])
})

it("names a client without an id by its address, and cuts what is long", () => {
  const { refusals, asks } = make()
  refusals.add({ ...refusal, clientId: "" })
  refusals.add({ ...refusal, clientId: "x".repeat(2000), reason: "r".repeat(2000), topic: "t".repeat(2000) })
  refusals.flush()
  expect(asks.map(({ to }) => to)).toEqual(["client/10.0.0.1", `client/${"x".repeat(256)}`])
  const { reason, topic } = asks[1]!.command.refused[0]!
  expect([reason.length, topic!.length]).toEqual([256, 256])
})

it("names 256 clients a second at most, writes 20 lines, and tells that there were more", () => {
  const { refusals, asks, lines } = make()
  for (let i = 0; i < 1000; i++) refusals.add({ ...refusal, clientId: `c${i}` })
  refusals.flush()
  expect(asks).toHaveLength(256)
  expect(lines).toHaveLength(22)
  expect(lines.find(({ message }) => message.includes("more clients"))!.fields).toEqual({ count: 1000 - 256 })
  expect(lines.at(-1)).toEqual({
    message: "kafka: more refused publications than lines",
    fields: { count: 256 - 20 }
  })
})
