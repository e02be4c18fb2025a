import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Splitter } from "../../src/kafka/Splitter.ts"
import { WireError } from "../../src/kafka/Wire.ts"

function stream(messages: ReadonlyArray<Uint8Array>): Buffer {
  const parts = messages.flatMap((message) => {
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(message.length)
    return [prefix, message]
  })
  return Buffer.concat(parts)
}

/** Pushes each chunk in one buffer that is overwritten afterwards, as a shared read buffer is. */
function split(chunks: Iterable<Uint8Array>, sizeMax = 64 * 1024): Array<Uint8Array> {
  const splitter = new Splitter(sizeMax)
  const out: Array<Uint8Array> = []
  for (const chunk of chunks) {
    const reused = Uint8Array.from(chunk)
    splitter.push(reused, (message) => out.push(message))
    reused.fill(0xee)
  }
  return out
}

const messages = fc.array(fc.uint8Array({ minLength: 1, maxLength: 5000 }), { minLength: 1, maxLength: 6 })

describe("Splitter", () => {
  it("gives the same messages whole, byte by byte and in random chunks", () => {
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }), (given, sizes) => {
        const bytes = stream(given)
        const random: Array<Uint8Array> = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + (sizes[i % sizes.length] as number)
          random.push(bytes.subarray(at, end))
          at = end
        }
        const expected = given.map((message) => Buffer.from(message).toString("hex"))
        const single = Array.from(bytes, (byte) => Uint8Array.of(byte))
        for (const chunks of [[bytes], single, random]) {
          expect(split(chunks).map((message) => Buffer.from(message).toString("hex"))).toEqual(expected)
        }
      }),
      { numRuns: 30 }
    )
  })

  it.each([
    ["ffffffff", "length"],
    ["80000000", "length"],
    ["00000000", "length"],
    ["00010001", "too-large"],
    ["7fffffff", "too-large"]
  ])("refuses a message of size %s as soon as its prefix is there: %s", (prefix, reason) => {
    const bytes = Buffer.from(prefix, "hex")
    for (const chunks of [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte))]) {
      expect(() => split(chunks)).toThrow(WireError)
      expect(() => split(chunks)).toThrow(expect.objectContaining({ reason }))
    }
  })

  it("leaves what is behind a message to the caller when it is told to, and goes on with it", () => {
    const splitter = new Splitter(100)
    const bytes = stream([Uint8Array.of(1), Uint8Array.of(2, 2), Uint8Array.of(3, 3, 3)])
    const sizes: Array<number> = []
    const one = (message: Uint8Array): boolean => {
      sizes.push(message.length)
      return false
    }
    const taken = [0, 5, 11].map((from) => splitter.push(bytes.subarray(from), one))
    expect([taken, sizes, splitter.isWithinMessage]).toEqual([[5, 6, 7], [1, 2, 3], false])
    expect([splitter.push(bytes.subarray(0, 2), one), splitter.isWithinMessage]).toEqual([2, true])
  })

  it("takes a message of exactly its limit, and a new limit from the next message on", () => {
    const splitter = new Splitter(10)
    const sizes: Array<number> = []
    const onMessage = (message: Uint8Array) => {
      sizes.push(message.length)
      splitter.sizeMax = 20
    }
    splitter.push(stream([new Uint8Array(10), new Uint8Array(20)]), onMessage)
    expect(sizes).toEqual([10, 20])
    expect(() => splitter.push(stream([new Uint8Array(21)]), onMessage)).toThrow(WireError)
  })

  it("allocates by what has arrived, not by what is announced", () => {
    const size = 16 * 1024 * 1024
    const splitters = Array.from({ length: 100 }, () => new Splitter(size))
    const before = process.memoryUsage()
    const start = Buffer.alloc(14)
    start.writeInt32BE(size)
    for (const splitter of splitters) splitter.push(start, () => expect.unreachable())
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1024 * 1024)
  })

  it("holds nothing of a large message between messages", async () => {
    const splitter = new Splitter(1024 * 1024)
    let message: WeakRef<Uint8Array> | undefined
    const bytes = stream([new Uint8Array(1024 * 1024)])
    for (let at = 0; at < bytes.length; at += 65536) {
      splitter.push(bytes.subarray(at, at + 65536), (given) => {
        message = new WeakRef(given)
      })
    }
    expect(message?.deref()?.length).toBe(1024 * 1024)
    // A weak reference holds its target until the end of the turn in which it was read.
    await setImmediate()
    setFlagsFromString("--expose-gc")
    runInNewContext("gc")()
    expect(message?.deref()).toBeUndefined()
    expect(splitter.sizeMax).toBe(1024 * 1024)
  })

  it("gives each message a view of exactly its own bytes", () => {
    const [first, second] = split([stream([Uint8Array.of(1, 2), Uint8Array.of(3)])])
    first?.fill(9)
    expect([...(second as Uint8Array)]).toEqual([3])
  })

  it("gives back each buffer that it outgrows, once, and none that it has handed out", () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 3000 }), (given, size) => {
        const taken = new Set<Uint8Array>()
        const take = (bytes: number): Uint8Array => {
          // Longer than asked for, and with other bytes in it, as those of a pool are.
          const buffer = new Uint8Array(bytes + (bytes % 7)).fill(0xdd)
          taken.add(buffer)
          return buffer
        }
        const give = (bytes: Uint8Array): void => {
          expect(taken.delete(bytes)).toBe(true)
          bytes.fill(0xdb)
        }
        const splitter = new Splitter(64 * 1024, { take, give })
        const out: Array<Uint8Array> = []
        const bytes = stream(given)
        for (let at = 0; at < bytes.length; at += size) {
          splitter.push(bytes.subarray(at, at + size), (message) => out.push(message))
        }
        expect(out.map((message) => Buffer.from(message))).toEqual(given.map((message) => Buffer.from(message)))
        expect(new Set(out.map(({ buffer }) => buffer))).toEqual(new Set(Array.from(taken, ({ buffer }) => buffer)))
      })
    )
  })
})
