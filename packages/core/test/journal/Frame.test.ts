import { crc32c } from "@node-rs/crc32"
import type { BatchRef, Producer } from "@logbrook/core/journal/batchRef"
import {
  chunkBytesMax,
  FrameBuilder,
  ownValueBytesMin,
  readFrame,
  readFrameHead,
  type BuiltCommit,
  type Cause,
  type StagedRecords
} from "@logbrook/core/journal/Frame"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { Marker } from "@logbrook/core/transaction/Marker"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { staged } from "../support/commits.ts"

type Entry =
  | {
      readonly _tag: "event"
      readonly actor: string
      readonly version: number
      readonly payload: Buffer
      readonly cause: Cause
    }
  | { readonly _tag: "records"; readonly staged: StagedRecords; readonly cause: Cause }
  | { readonly _tag: "hash"; readonly actor: string; readonly hash: Buffer }

const build = (firstSeq: number, entries: ReadonlyArray<Entry>): BuiltCommit => {
  const frame = new FrameBuilder(firstSeq, 7, 1_800_000_000_123)
  for (const entry of entries) {
    if (entry._tag === "event") frame.event(entry.actor, entry.version, entry.payload, entry.cause)
    else if (entry._tag === "records") frame.records(entry.staged, entry.cause)
    else frame.hash(entry.actor, entry.hash)
  }
  return frame.build()
}

interface Read {
  readonly entries: Array<unknown>
  readonly refs: Array<BatchRef>
}

const read = (frame: Buffer): Read => {
  const found: Read = { entries: [], refs: [] }
  readFrame(frame, {
    event: (seq, actor, version, payload, cause) =>
      found.entries.push({ seq, actor, version, payload: payload.toString("hex"), cause }),
    records: (seq, ref, cause) => {
      found.entries.push({ seq, logId: ref.logId, cause })
      found.refs.push(ref)
    },
    hash: (seq, actor, hash) => found.entries.push({ seq, actor, hash: hash.toString("hex") })
  })
  return found
}

const bytesOf = ({ commit }: BuiltCommit, ref: BatchRef): Uint8Array | undefined => {
  const { logId, baseOffset, count, place, chunk, position, byteLength } = ref
  if (place === "value") {
    return commit.batches.find((b) => b.logId === logId && b.lastOffset === baseOffset + count - 1)?.bytes
  }
  return (place === "frame" ? commit.frame : commit.chunks[chunk])?.subarray(position, position + byteLength)
}

const golden = build(1000, [
  {
    _tag: "event",
    actor: "group/orders",
    version: 2,
    payload: Buffer.from([0x81, 0xa1, 0x61, 0x01]),
    cause: { origin: "kafka 7" }
  },
  { _tag: "event", actor: "group/orders", version: 2, payload: Buffer.from([0x80]), cause: { seq: 1000 } },
  {
    _tag: "records",
    staged: {
      ...staged(3, 4_294_967_301, 2, Buffer.from("records")),
      verbatim: true,
      producer: { id: 4_294_967_297, epoch: 5, baseSequence: 2_147_483_647 }
    },
    cause: { seq: 999, origin: "mqtt c" }
  },
  { _tag: "hash", actor: "group/orders", hash: Buffer.from("0123456789abcdef", "hex") }
])

const goldenHex =
  "80a40925010000000700000004000000e8030000000000007b505c18a30100007100000002000000076b61666b612037066d71747420630000010c67726f75702f6f7264657273020481a161010001000c67726f75702f6f7264657273020180010302060385808080100205505c18a301000000505c18a301000007b0148524000001000000010000000500ffffff7f0200000c67726f75702f6f72646572730123456789abcdef7265636f726473"

describe("a frame", () => {
  it("has these bytes", () => {
    expect(golden.commit.frame.toString("hex")).toBe(goldenHex)
  })

  it("is read from these bytes", () => {
    const frame = Buffer.from(goldenHex, "hex")
    expect(readFrameHead(frame)).toEqual({
      kind: 0,
      chunks: 0,
      epoch: 7,
      entries: 4,
      firstSeq: 1000,
      nextSeq: 1004,
      timeMs: 1_800_000_000_123
    })
    const { entries, refs } = read(frame)
    expect(entries).toEqual([
      {
        seq: 1000,
        actor: "group/orders",
        version: 2,
        payload: "81a16101",
        cause: { seq: undefined, origin: "kafka 7" }
      },
      { seq: 1001, actor: "group/orders", version: 2, payload: "80", cause: { seq: 1000, origin: undefined } },
      { seq: 1002, logId: 3, cause: { seq: 999, origin: "mqtt c" } },
      { seq: 1003, actor: "group/orders", hash: "0123456789abcdef" }
    ])
    expect(refs).toEqual(golden.refs)
    expect(frame.subarray(refs[0]!.position, refs[0]!.position + refs[0]!.byteLength).toString()).toBe("records")
  })

  it("with any one bit flipped is refused", () => {
    const frame = Buffer.from(goldenHex, "hex")
    for (let bit = 0; bit < frame.length * 8; bit++) {
      frame[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => readFrame(frame, {})).toThrow(JournalError)
      frame[bit >> 3]! ^= 1 << (bit & 7)
    }
    expect(readFrame(frame, {}).entries).toBe(4)
  })

  it("cut short, longer, or of another format is refused", () => {
    const frame = Buffer.from(goldenHex, "hex")
    for (let length = 0; length < frame.length; length++) {
      expect(() => readFrame(frame.subarray(0, length), {})).toThrow(JournalError)
    }
    expect(() => readFrame(Buffer.concat([frame, Buffer.of(0)]), {})).toThrow(JournalError)
    frame[4] = 4
    frame.writeUInt32LE(crc32c(frame.subarray(4)), 0)
    expect(() => readFrame(frame, {})).toThrow(expect.objectContaining({ reason: "UnknownFormat" }))
  })

  it("whose entries lie behind a right checksum is refused", () => {
    const frame = Buffer.from(goldenHex, "hex")
    frame.writeUInt32LE(5, 12)
    frame.writeUInt32LE(crc32c(frame.subarray(4)), 0)
    expect(() => readFrame(frame, {})).toThrow(expect.objectContaining({ reason: "Corrupt" }))
  })
})

const text = fc.string({ unit: "grapheme", maxLength: 20 })
const cause = (firstSeq: number): fc.Arbitrary<Cause> =>
  fc.record({
    seq: fc.option(fc.integer({ min: 0, max: firstSeq - 1 }), { nil: undefined }),
    origin: fc.option(text, { nil: undefined })
  })
const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1e6 })
const timeMs = fc.integer({ min: -1, max: 2 ** 52 })
const producer: fc.Arbitrary<Producer> = fc.record({
  id: whole,
  epoch: fc.integer({ min: 0, max: 32_767 }),
  baseSequence: fc.integer({ min: 0, max: 2 ** 31 - 1 })
})
const marker: fc.Arbitrary<Marker> = fc.record({
  producerId: whole,
  producerEpoch: fc.integer({ min: 0, max: 32_767 }),
  coordinatorEpoch: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  outcome: fc.constantFrom("commit", "abort")
})
const records: fc.Arbitrary<StagedRecords> = fc.record({
  logId: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  baseOffset: whole,
  count: fc.integer({ min: 1, max: 1e6 }),
  firstTimestampMs: timeMs,
  maxTimestampMs: timeMs,
  bytes: fc
    .tuple(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 3000, max: 6000 })), fc.nat(255))
    .map(([length, byte]) => Buffer.alloc(length, byte)),
  verbatim: fc.boolean(),
  producer: fc.option(producer, { nil: undefined }),
  isTransactional: fc.constantFrom(true, undefined),
  marker: fc.option(marker, { nil: undefined }),
  isLogAppendTime: fc.constantFrom(true, undefined)
})
const entries = (firstSeq: number): fc.Arbitrary<Array<Entry>> =>
  fc.array(
    fc.oneof(
      fc.record({
        _tag: fc.constant("event" as const),
        actor: text,
        version: fc.nat(300),
        payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        cause: cause(firstSeq)
      }),
      fc.record({ _tag: fc.constant("records" as const), staged: records, cause: cause(firstSeq) }),
      fc.record({
        _tag: fc.constant("hash" as const),
        actor: text,
        hash: fc.constant(Buffer.from("fedcba9876543210", "hex"))
      })
    ),
    { minLength: 1, maxLength: 40 }
  )

const orNone = ({ seq, origin }: Cause): Cause => (seq === undefined && origin === undefined ? {} : { seq, origin })

const small = (count: number, length: number): BuiltCommit =>
  build(
    1,
    Array.from({ length: count }, (_, i) => ({
      _tag: "records",
      staged: staged(i, 0, 1, Buffer.alloc(length, i)),
      cause: {}
    }))
  )

describe("frames", () => {
  it("give back what was put into them, whatever it is", () => {
    const firstSeqs = fc.integer({ min: 1, max: 2 ** 50 })
    fc.assert(
      fc.property(
        firstSeqs.chain((firstSeq) => fc.tuple(fc.constant(firstSeq), entries(firstSeq))),
        ([firstSeq, put]) => {
          const built = build(firstSeq, put)
          const { commit } = built
          expect([commit.firstSeq, commit.nextSeq]).toEqual([firstSeq, firstSeq + put.length])
          const found = read(commit.frame)
          expect(found.entries).toEqual(
            put.map((entry, i) => {
              const seq = firstSeq + i
              if (entry._tag === "hash") return { seq, actor: entry.actor, hash: "fedcba9876543210" }
              const cause = orNone(entry.cause)
              if (entry._tag === "records") return { seq, logId: entry.staged.logId, cause }
              const { actor, version, payload } = entry
              return { seq, actor, version, payload: payload.toString("hex"), cause }
            })
          )
          expect(found.refs).toEqual(built.refs)
          const stagedRecords = put.flatMap((entry) => (entry._tag === "records" ? [entry.staged] : []))
          expect(commit.refCount).toBe(stagedRecords.length)
          stagedRecords.forEach(({ bytes, ...fields }, i) => {
            const ref = built.refs[i]!
            expect(ref).toMatchObject({ ...fields, byteLength: bytes.length, crc: crc32c(bytes) })
            expect(ref.place === "value").toBe(bytes.length >= ownValueBytesMin)
            // Two own values of one log and last offset are never in one commit; here they may be.
            if (ref.place !== "value") expect(Buffer.compare(bytesOf(built, ref)!, bytes)).toBe(0)
          })
          const parts = [commit.frame, ...commit.chunks, ...commit.batches.map((b) => b.bytes)]
          expect(commit.byteLength).toBe(parts.reduce((sum, part) => sum + part.length, 0))
        }
      ),
      { numRuns: 300 }
    )
  })

  it("keep small records up to 32 KB and cut more into chunks between partitions", () => {
    const inFrame = small(16, 2048)
    expect(inFrame.commit.chunks).toHaveLength(0)
    expect(inFrame.refs.every((ref) => ref.place === "frame")).toBe(true)
    const cut = small(17, 2048)
    expect(cut.commit.chunks.map((chunk) => chunk.length)).toEqual([chunkBytesMax, 2048])
    expect(cut.commit.frame.length).toBeLessThan(2048)
    const odd = small(40, 3001)
    expect(odd.commit.chunks.map((chunk) => chunk.length)).toEqual([30_010, 30_010, 30_010, 30_010])
    for (const built of [inFrame, cut, odd]) {
      expect(readFrameHead(built.commit.frame).chunks).toBe(built.commit.chunks.length)
      built.refs.forEach((ref, i) =>
        expect(Buffer.compare(bytesOf(built, ref)!, Buffer.alloc(ref.byteLength, i))).toBe(0)
      )
    }
  })

  it("give records of 4 KB and more a value of their own", () => {
    const built = build(1, [
      { _tag: "records", staged: staged(1, 10, 5, Buffer.alloc(ownValueBytesMin - 1, 1)), cause: {} },
      { _tag: "records", staged: staged(2, 20, 5, Buffer.alloc(ownValueBytesMin, 2)), cause: {} }
    ])
    expect(built.refs.map((ref) => ref.place)).toEqual(["frame", "value"])
    expect(built.commit.batches).toEqual([{ logId: 2, lastOffset: 24, bytes: Buffer.alloc(ownValueBytesMin, 2) }])
  })
})
