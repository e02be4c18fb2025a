import { ByteWriter } from "@logbrook/core/journal/Bytes"
import { crc32c } from "@node-rs/crc32"
import { formatOf, FrameBuilder, frameFormat, readFrame } from "@logbrook/core/journal/Frame"
import { stripFrame } from "@logbrook/core/journal/stripFrame"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const entry = fc.oneof(
  fc.record({
    _tag: fc.constant("event" as const),
    actor: fc.string({ maxLength: 20 }),
    payload: fc.uint8Array({ maxLength: 200 }),
    origin: fc.option(fc.string({ maxLength: 10 }), { nil: undefined })
  }),
  fc.record({
    _tag: fc.constant("records" as const),
    logId: fc.nat(2 ** 32 - 1),
    bytes: fc.nat(6000),
    verbatim: fc.boolean(),
    isIdempotent: fc.boolean()
  }),
  fc.record({ _tag: fc.constant("hash" as const), actor: fc.string({ maxLength: 20 }) })
)

type Entry = typeof entry extends fc.Arbitrary<infer E> ? E : never

const build = (entries: ReadonlyArray<Entry>): Buffer => {
  const frame = new FrameBuilder(1000, 3, 1_800_000_000_000)
  for (const each of entries) {
    const cause = { seq: frame.nextSeq > 1000 ? frame.nextSeq - 1 : undefined }
    if (each._tag === "event") frame.event(each.actor, 1, each.payload, { ...cause, origin: each.origin })
    else if (each._tag === "hash") frame.hash(each.actor, Buffer.alloc(8, 5))
    else {
      const producer = each.isIdempotent ? { id: 2 ** 40, epoch: 7, baseSequence: 12 } : undefined
      const times = { firstTimestampMs: -1, maxTimestampMs: 2 ** 45 }
      const rest = { bytes: Buffer.alloc(each.bytes, 1), verbatim: each.verbatim, producer }
      frame.records({ logId: each.logId, baseOffset: 2 ** 33, count: 9, ...times, ...rest }, cause)
    }
  }
  return frame.build().commit.frame
}

/** All that a replay can see. */
const seen = (frame: Buffer) => {
  const found: Array<unknown> = []
  const { kind, epoch, entries, firstSeq, nextSeq, timeMs } = readFrame(frame, {
    event: (seq, actor, version, payload, cause) => found.push([seq, actor, version, payload.toString("hex"), cause]),
    records: (seq, { crc: _crc, chunk: _chunk, position: _position, place: _place, ...ref }, cause) =>
      found.push([seq, ref, cause]),
    hash: (seq, actor, hash) => found.push([seq, actor, hash.toString("hex")])
  })
  return { kind, epoch, entries, firstSeq, nextSeq, timeMs, found }
}

describe("a stripped frame", () => {
  it("tells all that the whole one told, but the records", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        const frame = build(entries)
        const stripped = stripFrame(frame, new ByteWriter())
        expect(seen(stripped)).toEqual(seen(frame))
        expect(stripped.length).toBeLessThanOrEqual(frame.length)
        expect(formatOf(stripped)).toBeGreaterThan(frameFormat.whole)
        readFrame(stripped, { records: (_seq, { place }) => expect(place).toBe("run") })
        // Once more changes nothing.
        expect(stripFrame(stripped, new ByteWriter()).equals(stripped)).toBe(true)
      }),
      { numRuns: 200 }
    )
  })

  it("is refused when it is damaged, whatever its checksum says", () => {
    const records = Array.from({ length: 50 }, (_, logId) => ({
      logId,
      bytes: 100,
      verbatim: false,
      isIdempotent: false
    }))
    const stripped = stripFrame(build(records.map((each) => ({ ...each, _tag: "records" as const }))), new ByteWriter())
    expect(formatOf(stripped)).toBe(frameFormat.strippedZstd)
    const corrupt = expect.objectContaining({ reason: "Corrupt" })
    const turned = Buffer.from(stripped)
    turned[60]! ^= 1
    expect(() => readFrame(turned, {})).toThrow(corrupt)
    for (const damage of [(b: Buffer) => b.fill(0, 50, 60), (b: Buffer) => void b.writeUInt32LE(7, 32)]) {
      const damaged = Buffer.from(stripped)
      damage(damaged)
      damaged.writeUInt32LE(crc32c(damaged.subarray(4)), 0)
      expect(() => readFrame(damaged, {})).toThrow(corrupt)
    }
  })
})
