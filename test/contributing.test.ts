import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const linesMax = 13

const recipes = readFileSync(join(root, "CONTRIBUTING.md"), "utf8")
  .split(/^## /m)
  .slice(1)
  .map((text) => [text.slice(0, text.indexOf("\n")), text.slice(text.indexOf("\n") + 1).trim()] as const)

/** A path between backquotes, and what stands in the file, if that is told in brackets. */
const namedFile = /`((?:packages|test|scripts|docs)\/[^`\s]+)`(?:\s\[`([^`]+)`\])?|`node --conditions=source (\S+)`/g

const filesOf = (text: string) =>
  Array.from(text.matchAll(namedFile), ([, path, quoted, script]) => [(path ?? script)!, quoted] as const)

describe("CONTRIBUTING.md", () => {
  it("has a recipe for each kind of thing that is added", () => {
    expect(recipes.map(([title]) => title)).toEqual(
      ["a Kafka API", "a field to an event", "a setting", "a limit", "an actor", "a metric"].map(
        (what) => `Add ${what}`
      )
    )
  })

  it.each(recipes)("%s: its files are there, with what it says of them, in a dozen lines", (_title, text) => {
    const files = filesOf(text)
    expect(files.length).toBeGreaterThanOrEqual(2)
    for (const [path, quoted] of files) {
      expect(existsSync(join(root, path)), path).toBe(true)
      if (quoted !== undefined) expect(readFileSync(join(root, path), "utf8"), path).toContain(quoted)
    }
    expect(text.split("\n").length).toBeLessThanOrEqual(linesMax)
  })
})
