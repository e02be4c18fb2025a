import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as lmdb from "lmdb"
import { expect, it } from "vitest"
import { LmdbSegment } from "../../src/journal/LmdbSegment.ts"

const opened = (lmdb as unknown as { readonly allDbs: Map<string, unknown> }).allDbs

it("nothing is left of a segment that was closed, and all of one that is open", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-stores-"))
  try {
    const [one, other] = ["one.mdb", "other.mdb"].map((name) =>
      LmdbSegment.createSettled(path.join(directory, name), 16 * 1024 * 1024, 1)
    ) as [LmdbSegment, LmdbSegment]
    const stores = opened.size / 2
    expect(stores).toBeGreaterThan(4)
    await one.close()
    expect(opened.size).toBe(stores)
    await other.close()
    expect(opened.size).toBe(0)
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})
