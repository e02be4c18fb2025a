import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setImmediate } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import type { ReadOnlyChain } from "@logbrook/core/doctor/ReadOnlyChain"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { expect, it } from "vitest"

const writer = fileURLToPath(new URL("doctorWriter.ts", import.meta.url))
const commits = 6000
const scansMin = 101

/** One after the last event, if none is missing. */
const endOf = (journal: Pick<ReadOnlyChain, "scan">): number => {
  let expected = 1
  journal.scan(1, (frame) => {
    const head = readFrameHead(frame)
    expect(head.firstSeq).toBe(expected)
    expected = head.nextSeq
    return true
  })
  return expected
}

/**
 * LMDB's own readers in another process take the writer back when they open an environment: one in some hundred opens lost
 * an acknowledged commit. Ours open no environment.
 */
it("reading beside a writer loses nothing, and sees all that was acknowledged", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-beside-"))
  const child = spawn(process.execPath, ["--conditions=source", writer, directory, String(commits)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const ended = once(child, "close")
  let acknowledged = 0
  child.stdout.on("data", (data: Buffer) => {
    const lines = data.toString().trimEnd().split("\n")
    acknowledged = Math.max(acknowledged, Number(lines.at(-1)))
  })
  let scans = 0
  while (child.exitCode === null) {
    const before = acknowledged
    if (before > 0) {
      const journal = openReadOnly(directory)
      expect(endOf(journal)).toBe(journal.nextSeq)
      expect(journal.nextSeq).toBeGreaterThan(before)
      await journal.close()
      // Enough for what it has to find, however slow the machine is.
      if (++scans === scansMin) child.stdin.end()
    }
    await setImmediate()
  }
  await ended
  expect(scans).toBeGreaterThanOrEqual(scansMin)
  expect(acknowledged).toBeGreaterThanOrEqual(commits)
  const journal = LmdbJournal.open({ directory, segmentBytes: 1e6, segmentRefsMax: 1e6 })
  expect(endOf(journal)).toBe(acknowledged + 1)
  expect(journal.segments().length).toBeGreaterThan(1)
  await journal.close()
  fs.rmSync(directory, { recursive: true })
})
