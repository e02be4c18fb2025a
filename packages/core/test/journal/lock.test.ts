import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { acquireLock, leaveSuspect, lockState, releaseLock, throwIfHeld } from "../../src/journal/lock.ts"
import { temporaryDirectory } from "../support/temporary.ts"

it("keeps a second writer out of a directory, and tells the next one how the last has ended", () => {
  const directory = temporaryDirectory()
  const inUse = `${directory} is in use by process ${process.pid}`
  throwIfHeld(directory)
  expect(acquireLock(directory)).toBe("clean")
  expect(() => acquireLock(directory)).toThrow(expect.objectContaining({ reason: "Locked", message: inUse }))
  expect(() => throwIfHeld(directory)).toThrow(expect.objectContaining({ reason: "Locked", message: inUse }))
  leaveSuspect(directory)
  expect(lockState(directory)).toEqual({ state: "stale", pid: 0, hadTakenOver: true })
  throwIfHeld(directory)
  expect(acquireLock(directory)).toBe("uncleanAgain")
  expect(readFileSync(join(directory, "lock"), "utf8")).toMatch(new RegExp(`^${process.pid} `))
  releaseLock(directory)
  expect(lockState(directory).state).toBe("free")
})

it("is the failure of a journal where it cannot be", () => {
  const directory = join(temporaryDirectory(), "none")
  expect(() => acquireLock(directory)).toThrow(expect.objectContaining({ _tag: "JournalError", reason: "Io" }))
  // Where nothing can be read that is there, nobody is told to be the writer.
  mkdirSync(join(directory, "lock"), { recursive: true })
  writeFileSync(join(directory, "lock", "any"), "")
  const taking = `${directory} is being taken by another process`
  expect(() => acquireLock(directory)).toThrow(expect.objectContaining({ reason: "Locked", message: taking }))
  leaveSuspect(directory)
})
