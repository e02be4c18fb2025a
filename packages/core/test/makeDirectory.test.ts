import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { makeDirectory } from "../src/makeDirectory.ts"

describe("makeDirectory", () => {
  let base: string
  beforeEach(() => {
    base = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-"))
  })
  afterEach(() => fs.rmSync(base, { recursive: true }))

  it("makes all that is missing, and takes what is there", () => {
    const wanted = path.join(base, "a/b/c")
    makeDirectory(wanted)
    makeDirectory(wanted)
    expect(fs.statSync(wanted).isDirectory()).toBe(true)
  })

  it("throws for a file that stands in the way", () => {
    fs.writeFileSync(path.join(base, "file"), "")
    expect(() => makeDirectory(path.join(base, "file"))).toThrow("EEXIST")
    expect(() => makeDirectory(path.join(base, "file/x"))).toThrow("ENOTDIR")
  })

  it.runIf(process.platform === "linux")("throws where nothing can be made", () => {
    expect(() => makeDirectory("/proc/logbrook")).toThrow("ENOENT")
    expect(() => makeDirectory("/proc/logbrook/data")).toThrow("ENOENT")
  })
})
