import { expect, it } from "vitest"
import { answering, run } from "./support.ts"

const of = { transactionalId: "billing", state: "Ongoing", producerId: 7, producerEpoch: 3 }

it("transactions are listed with their producers and for how long they are open", async () => {
  const data = [
    { ...of, partitions: 2, groups: 1, openMs: 60_000 },
    { ...of, transactionalId: "idle", state: "Empty", partitions: 0, groups: 0, openMs: null }
  ]
  const { url, close } = await answering({ data, meta: { cursor: null, hasnext: false } })
  const { out } = await run(["transactions", "list", "--url", url])
  expect(out.map((line) => line.split("\t"))).toEqual([
    ["TRANSACTIONAL ID", "STATE", "PRODUCER", "EPOCH", "PARTITIONS", "GROUPS", "OPEN"],
    ["billing", "Ongoing", "7", "3", "2", "1", "1m"],
    ["idle", "Empty", "7", "3", "0", "0", "-"]
  ])
  close()
})

it("a transaction is described with its partitions and groups", async () => {
  const times = { timeoutMs: 60_000, startedAt: "2026-11-30T10:00:00.000Z", updatedAt: null }
  const partitions = [{ stream: "orders", partition: 4 }]
  const { url, close } = await answering({ ...of, ...times, partitions, groups: ["g", "h"] })
  const { out } = await run(["transactions", "describe", "billing", "--url", url])
  const text = out.join("\n")
  for (const part of ["7, epoch 3", "2026-11-30T10:00:00.000Z", "g h", "orders\t4"]) expect(text).toContain(part)
  close()
})

it("a transaction is aborted once that is confirmed", async () => {
  const { url, close } = await answering({ producerId: 7, partitions: 2, groups: 1 })
  const { out, code } = await run(["transactions", "abort", "billing", "--yes", "--url", url])
  expect(code).toBe(0)
  expect(out).toEqual(["aborted billing (2 partitions, 1 group)"])
  const asked = await run(["transactions", "abort", "billing", "--url", url])
  expect(asked.code).not.toBe(0)
  expect(asked.out).toEqual([])
  close()
})
