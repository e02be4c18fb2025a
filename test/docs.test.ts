import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const read = (path: string): string => readFileSync(join(root, path), "utf8")
const pages = globSync(["*.md", "docs/**/*.md", "bench/*.md"], { cwd: root }).sort()

/** A heading's anchor, as Git hosts make it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-")

const anchorsOf = (page: string): ReadonlyArray<string> =>
  Array.from(read(page).matchAll(/^#+ (.+)$/gm), ([, heading]) => anchorOf(heading!))

const brokenLinks = (page: string): ReadonlyArray<string> =>
  Array.from(read(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!)
    .filter((target) => !/^\w+:/.test(target))
    .filter((target) => {
      const [path, anchor] = target.split("#")
      const file = path === "" ? page : join(dirname(page), path!)
      return !existsSync(join(root, file)) || (anchor !== undefined && !anchorsOf(file).includes(anchor))
    })

const sourcesNamedIn = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/`(packages\/[^`\s]+\.ts)`/g), ([, path]) => path!)

/** The rows of a section's table, without its head. */
const rowsOf = (page: string, heading: string): ReadonlyArray<ReadonlyArray<string>> =>
  read(page)
    .split(`\n## ${heading}\n`)[1]!
    .split("\n## ")[0]!
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) => line.split(" | ").map((cell) => cell.replaceAll(/^\||\|$/g, "").trim()))

describe("the pages", () => {
  it.each(pages)("%s: what it links to is there", (page) => expect(brokenLinks(page)).toEqual([]))

  it("a broken link is found", () => {
    expect(pages).toContain("docs/back-pressure.md")
    expect(anchorsOf("docs/ARCHITECTURE.md")).toContain("a-strangers-ten-questions")
  })
})

describe("docs/ARCHITECTURE.md", () => {
  const page = "docs/ARCHITECTURE.md"

  it("names files that are there", () => {
    const named = sourcesNamedIn(read(page))
    expect(named.length).toBeGreaterThan(40)
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it("gives each word one meaning and its file", () => {
    const rows = rowsOf(page, "Words")
    expect(rows.length).toBeGreaterThan(25)
    for (const [word, , where] of rows) expect(sourcesNamedIn(where!), word).not.toEqual([])
    const words = rows.flatMap(([word]) => word!.split(", "))
    expect(words).toEqual([...new Set(words)])
  })

  it("says where the shard is made", () => {
    const row = rowsOf(page, "A stranger's ten questions").find(([question]) => question!.includes("second shard"))
    expect(read(sourcesNamedIn(row![1]!)[0]!)).toContain("new Shard(")
  })

  it("answers ten questions of a stranger", () => {
    const rows = rowsOf(page, "A stranger's ten questions")
    expect(rows).toHaveLength(10)
    for (const [question, place] of rows) {
      const files = [...sourcesNamedIn(place!), ...Array.from(place!.matchAll(/\]\((back-pressure\.md)\)/g))]
      expect(files, question).not.toEqual([])
    }
  })
})

describe("docs/back-pressure.md", () => {
  const text = read("docs/back-pressure.md")
  const places = text.split(/^## /m).slice(1)
  const configured = new Map(
    Array.from(read("docs/configuration.md").matchAll(/^\| `([\w.]+)` \| ([^|]+) \|/gm), ([, name, value]) => [
      name!,
      value!
    ])
  )

  it("has five places, each with a bound and with what the client sees", () => {
    expect(places.map((place) => place[0])).toEqual(["1", "2", "3", "4", "5"])
    for (const place of places) expect(place).toMatch(/\*\*The\s+client sees\*\*/)
  })

  it("gives the settings their defaults", () => {
    const bounds = Array.from(text.matchAll(/^\| `((?:limits|journal)\.\w+)` \| ([^|]+) \|/gm), ([, name, value]) => [
      name!,
      value!
    ])
    expect(bounds.length).toBeGreaterThan(10)
    expect(bounds).toEqual(bounds.map(([name]) => [name, configured.get(name!)]))
  })

  it("gives the constants the values that they have in their files", () => {
    const bounds = Array.from(text.matchAll(/^\| `(\w+)` in `(\S+)` \| (\d+) \|/gm), ([, name, path, value]) => ({
      path: path!,
      line: `const ${name} = ${value}\n`
    }))
    expect(bounds.length).toBeGreaterThan(4)
    for (const { path, line } of bounds) expect(read(path)).toContain(line)
  })

  it("names what is in the code", () => {
    const named = Array.from(text.matchAll(/`(packages\/\S+\.ts)`((?:[:,] `#?\w+`)+)/g))
    expect(named.length).toBeGreaterThan(3)
    for (const [, path, names] of named) {
      for (const [, name] of names!.matchAll(/`(#?\w+)`/g)) expect(read(path!), path).toContain(name!)
    }
  })
})
