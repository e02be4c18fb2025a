import { describe, expect, it } from "vitest"
import { CompactedAudit, valuesOf } from "./crash/CompactedAudit.ts"
import { ExpiringAudit, samplesOf } from "./crash/ExpiringAudit.ts"
import type { Acknowledged, Outgoing } from "./crash/KafkaProducer.ts"
import type { KafkaRecord } from "./support/kafkaRecord.ts"

// That the crash rig's own judges can fail.

const recordsOf = (sent: ReadonlyArray<Outgoing>): Array<KafkaRecord> =>
  sent.map(({ id, key, value }, offset) => ({
    partition: 0,
    offset,
    timestampMs: 0,
    key: Buffer.from(key ?? id),
    value,
    headers: [["id", id]]
  }))

const toldOf = (sent: ReadonlyArray<Outgoing>): Array<Acknowledged> => [
  { partition: 0, baseOffset: 0, ids: sent.map(({ id }) => id) }
]

type Change = (records: ReadonlyArray<KafkaRecord>) => Array<KafkaRecord>

const without =
  (...offsets: ReadonlyArray<number>): Change =>
  (records) =>
    records.filter(({ offset }) => !offsets.includes(offset))

const nothing: Change = () => []

const at =
  (offset: number, change: Partial<KafkaRecord>): Change =>
  (records) =>
    records.map((record) => (record.offset === offset ? { ...record, ...change } : record))

const longAgo = (sent: ReadonlyArray<Outgoing>): ReadonlyArray<Outgoing> =>
  sent.map((each) => ({ ...each, id: each.id.replace(/-\d+$/, "-1") }))

const expiringFaults = async (sent: ReadonlyArray<Outgoing>, ...looks: ReadonlyArray<Change>) => {
  const faults: Array<string> = []
  const left = [...looks]
  const audit = new ExpiringAudit("samples", 1, 60_000, faults, () => Promise.resolve(left.shift()!(recordsOf(sent))))
  const told = toldOf(sent)
  while (left.length > 0) await audit.check(told, false)
  return faults
}

describe("the look at a stream that expires", () => {
  const sent = samplesOf(3)

  it("is content with all of it, and without what is old", async () => {
    expect(await expiringFaults(sent, without(), without())).toEqual([])
    const old = longAgo(sent.slice(0, 2)).map(({ id }) => ({ id, value: null }))
    expect(await expiringFaults([...old, ...sent.slice(2)], without(0, 1))).toEqual([])
    const isOvertaken = [without(1), without(0, 1)]
    expect(await expiringFaults([...old, ...sent.slice(2)], ...isOvertaken)).toEqual([])
    const allOld = longAgo(sent).map(({ id }) => ({ id, value: null }))
    expect(await expiringFaults(allOld, nothing, nothing)).toEqual([])
  })

  it.each([
    ["a young record that is gone at the beginning", [without(0)], /is gone after/],
    ["a hole", [without(2), without(2)], /where 2 was next/],
    ["a lost end", [without(6)], /the log ends at 6/],
    ["a log start that goes back", [without(0), without()], /went back from 1 to 0/],
    ["a record at another offset than told", [at(1, { key: Buffer.from(sent[2]!.id) })], /was acknowledged/],
    ["a record twice", [at(1, { key: Buffer.from(sent[2]!.id) })], /is at 1 and at 2/],
    ["other bytes", [at(1, { value: Buffer.from("x") })], /is not what was sent/]
  ] as const)("tells %s", async (_what, looks, fault) => {
    expect((await expiringFaults(sent, ...looks)).join("\n")).toMatch(fault)
  })
})

const compactedFaults = async (sent: ReadonlyArray<Outgoing>, ...looks: ReadonlyArray<Change>) => {
  const faults: Array<string> = []
  const left = [...looks]
  const rules = { deleteRetentionMs: 60_000, retentionMs: Infinity }
  const audit = new CompactedAudit("states", 1, rules, faults, () => Promise.resolve(left.shift()!(recordsOf(sent))))
  const told = toldOf(sent)
  while (left.length > 0) await audit.check(told, false)
  return faults
}

describe("the look at a compacted stream", () => {
  const sent = Array.from({ length: 400 }, (_, n) => valuesOf(n)).flat()
  const keyAt = (offset: number): string => sent[offset]!.key!
  const isNewest = (offset: number): boolean => !sent.slice(offset + 1).some(({ key }) => key === keyAt(offset))
  const offsets = sent.map((_, offset) => offset)
  const newest = offsets.findLast((offset) => isNewest(offset) && sent[offset]!.value !== null)!
  const tombstone = offsets.findLast((offset) => isNewest(offset) && sent[offset]!.value === null)!
  const older = offsets.findLast((offset) => keyAt(offset) === keyAt(newest) && offset < newest)!
  const superseded = offsets.filter((offset) => !isNewest(offset))

  it("is content with all of it, with the newest of each key, and without an old tombstone", async () => {
    expect(await compactedFaults(sent, without(), without(...superseded))).toEqual([])
    const old = sent.map((each, offset) => (offset === tombstone ? longAgo([each])[0]! : each))
    expect(await compactedFaults(old, without(...superseded, tombstone))).toEqual([])
  })

  it.each([
    ["a newest value that is gone", [without(...superseded, newest)], /is gone/],
    ["an older value in its place", [without(newest)], /instead/],
    ["a tombstone that went too early", [without(...superseded, tombstone)], /is gone/],
    [
      "an older value behind a newer one",
      [
        (records: ReadonlyArray<KafkaRecord>) => {
          const again = records.length
          return [...records, { ...records[older]!, offset: again }]
        }
      ],
      /behind/
    ],
    ["what comes back", [without(...superseded), without()], /is back/],
    ["a record that has moved", [at(newest, { headers: [["id", sent[older]!.id]] })], /was acknowledged/],
    ["other bytes", [at(newest, { value: Buffer.from("x") })], /is not what was sent/],
    ["offsets that do not rise", [at(older, { offset: 0 })], /offset 0 behind/]
  ] as const)("tells %s", async (_what, looks, fault) => {
    expect((await compactedFaults(sent, ...looks)).join("\n")).toMatch(fault)
  })
})
