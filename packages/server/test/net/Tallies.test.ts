import { expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { Tallies } from "../../src/net/Tallies.ts"

/** A clock whose tasks run when the test says so. */
const tallies = (toldPerSecondMax = 10) => {
  const due: Array<() => void> = []
  const told: Array<readonly [string, number]> = []
  const after = (_delayMs: number, task: () => void) => {
    due.push(task)
    return () => void due.splice(due.indexOf(task), 1)
  }
  const counted = new Tallies<{ count: number }>({ ...systemClock, after }, toldPerSecondMax, (key, { count }) =>
    told.push([key, count])
  )
  const add = (key: string): void => {
    const tally = counted.get(key) ?? counted.set(key, { count: 0 })
    tally.count++
  }
  const second = (): void => {
    for (const task of due.splice(0)) task()
  }
  return { counted, told, add, second, due }
}

it("tells of each key once a second, and nothing where nothing was", () => {
  const { add, told, second, due } = tallies()
  for (const key of ["a", "b", "a", "a"]) add(key)
  expect(told).toEqual([])
  second()
  expect(told.splice(0)).toEqual([
    ["a", 3],
    ["b", 1]
  ])
  expect(due).toEqual([])
  add("a")
  second()
  expect(told).toEqual([["a", 1]])
})

it("tells of more keys than it may in the seconds after, with what has come until then", () => {
  const { add, told, second, due, counted } = tallies(2)
  for (const key of ["a", "b", "c", "d", "e"]) add(key)
  second()
  expect(told.splice(0).map(([key]) => key)).toEqual(["a", "b"])
  add("c")
  second()
  expect(told.splice(0)).toEqual([
    ["c", 2],
    ["d", 1]
  ])
  second()
  expect(told).toEqual([["e", 1]])
  expect([due.length, counted.size]).toEqual([0, 0])
})

it("tells of everything at once when it is flushed, and of nothing twice", () => {
  const { add, told, second, due, counted } = tallies(1)
  for (const key of ["a", "b"]) add(key)
  counted.flush()
  expect(told.splice(0)).toHaveLength(2)
  expect(due).toEqual([])
  add("b")
  expect(due).toHaveLength(1)
  second()
  expect(told).toEqual([["b", 1]])
})
