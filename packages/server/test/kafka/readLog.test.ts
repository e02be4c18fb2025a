import { JournalError } from "@logbrook/core/journal/JournalError"
import { expect, it } from "vitest"
import type { RequestContext } from "../../src/kafka/Handler.ts"
import { readLog } from "../../src/kafka/readLog.ts"

const reading = () => {
  const lines: Array<unknown> = []
  const log = { error: (message: string, fields: unknown) => void lines.push([message, fields]) }
  const context = { node: { broker: { log } } } as unknown as RequestContext
  return { lines, read: (find: () => object) => readLog(context, "orders", 3, find) }
}

it("gives what was found", () => {
  const { lines, read } = reading()
  expect(read(() => ({ offset: 7 }))).toEqual({ offset: 7 })
  expect(lines).toEqual([])
})

it("says in the log why a partition's log cannot be read", () => {
  const { lines, read } = reading()
  const found = read(() => {
    throw new JournalError("Corrupt", "a checksum differs")
  })
  expect(found).toBeUndefined()
  expect(lines).toEqual([
    ["kafka: a log cannot be read", { stream: "orders", partition: 3, error: "a checksum differs" }]
  ])
})

it("leaves every other error to whoever asked", () => {
  const error = new TypeError("of the server's own")
  const { read } = reading()
  const find = (): never => {
    throw error
  }
  expect(() => read(find)).toThrow(error)
})
