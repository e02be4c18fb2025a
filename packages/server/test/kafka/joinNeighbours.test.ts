import { joinNeighbours } from "@logbrook/server/kafka/joinNeighbours"
import * as fc from "fast-check"
import { expect, it } from "vitest"

const first = Uint8Array.from({ length: 100 }, (_, i) => i)
const second = Uint8Array.from({ length: 100 }, (_, i) => 100 + i)

it("joins what lies one behind the other in one buffer, and nothing else", () => {
  const pieces = [
    first.subarray(0, 10),
    first.subarray(10, 30),
    first.subarray(30, 31),
    second.subarray(31, 40),
    second.subarray(41, 50),
    first.subarray(50, 60),
    first.subarray(40, 50)
  ]
  const joined = joinNeighbours(pieces)
  expect(joined).toEqual([first.subarray(0, 31), ...pieces.slice(3)])
  expect(joined[0]!.buffer).toBe(first.buffer)
  expect(joined[1]).toBe(pieces[3])
  expect(joinNeighbours([])).toEqual([])
})

it("leaves the bytes as they are", () => {
  const piece = fc
    .tuple(fc.constantFrom(first, second), fc.nat(9), fc.integer({ min: 1, max: 3 }))
    .map(([buffer, at, count]) => buffer.subarray(at * 10, (at + count) * 10))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      expect(Buffer.concat(joinNeighbours(pieces))).toEqual(Buffer.concat(pieces))
    })
  )
})
