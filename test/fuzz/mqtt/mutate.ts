import type { Random } from "../../simulation/Random.ts"
import type { Draft } from "./Draft.ts"
import { pushVariable } from "./Draft.ts"

/** Bytes that mean something: ends of ranges, separators, wildcards, lengths. */
const meaningful = [0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0xc0, 0xff, 0x23, 0x24, 0x2b, 0x2f] as const

type Mutation = (draft: Draft, random: Random) => void

const mutations: ReadonlyArray<Mutation> = [
  ({ body }, random) => {
    const at = random.between(0, body.length - 1)
    body[at]! ^= 1 << random.between(0, 7)
  },
  (draft, random) => {
    draft.body[Math.min(draft.place(random), draft.body.length - 1)] = random.pick(meaningful)
  },
  // The low byte of a length, mostly.
  (draft, random) => {
    const at = Math.min(draft.place(random) + 1, draft.body.length - 1)
    draft.body[at] = (draft.body[at]! + random.pick([-1, 1, 2, 16])) & 0xff
  },
  (draft, random) => {
    const bytes = Array.from({ length: random.between(1, 4) }, () => random.pick(meaningful))
    draft.body.splice(draft.place(random), 0, ...bytes)
  },
  (draft, random) => void draft.body.splice(draft.place(random), random.between(1, 4)),
  // A field twice.
  (draft, random) => {
    const at = draft.place(random)
    draft.body.splice(at, 0, ...draft.body.slice(at, at + random.between(1, 12)))
  },
  (draft, random) => {
    draft.body.length = random.between(0, draft.body.length)
  },
  (draft, random) => {
    draft.first ^= 1 << random.between(0, 3)
  },
  (draft, random) => {
    draft.first = (random.between(0, 15) << 4) | (draft.first & 0x0f)
  }
]

/** Changes a packet in one place. */
export const mutate = (draft: Draft, random: Random): void => {
  if (draft.body.length === 0) draft.first = random.between(0, 255)
  else random.pick(mutations)(draft, random)
}

/** Of a packet whose length is told wrongly. */
const wrongLength = (to: Array<number>, length: number, random: Random): void => {
  switch (random.between(0, 4)) {
    case 0:
      pushVariable(to, Math.max(0, length + random.pick([-2, -1, 1, 2, 300])))
      return
    case 1:
      // Longer than it has to be [MQTT-1.5.5-1].
      to.push((length & 0x7f) | 0x80, length >>> 7)
      return
    case 2:
      to.push(0xff, 0xff, 0xff, 0xff, 0x7f)
      return
    case 3:
      pushVariable(to, 268_435_455)
      return
    default:
      pushVariable(to, 3000)
  }
}

/** A packet's bytes, behind those that are there. */
export const write = (to: Array<number>, { first, body }: Draft, isWrong: boolean, random: Random): void => {
  to.push(first)
  if (isWrong) wrongLength(to, body.length, random)
  else pushVariable(to, body.length)
  for (const byte of body) to.push(byte)
}
