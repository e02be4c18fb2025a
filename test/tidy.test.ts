import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const fileLinesMax = 800
const functionLinesMax = 70

interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string
  readonly text: string
}

/** What each package may import of ours. */
const packageImports: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["protocols", []],
  ["core", []],
  ["actors", ["core"]],
  ["server", ["protocols", "core", "actors"]],
  ["console", []]
])

/** The fewest source files of a package that must be there: a rule that sees nothing passes for nothing. */
const sourceFilesMin: ReadonlyMap<string, number> = new Map([
  ["protocols", 30],
  ["core", 35],
  ["actors", 20],
  ["server", 80]
])

/** The impure shells: the only files of core and actors that may use the clock, chance and timers. */
const shells: ReadonlySet<string> = new Set(["packages/core/src/journal/LmdbJournal.ts", "packages/core/src/Clock.ts"])

const bannedCalls = /\b(Date\.now|Math\.random|setTimeout|setInterval|setImmediate|performance\.now|new\s+Promise)\b/g
// Spelt so that this file does not find itself.
const unfinishedWords = /\b(TO[D]O|FIX[M]E)\b/

const filesUnder = (folder: string): Array<SourceFile> => {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => /\.tsx?$/.test(path) && !/\/(node_modules|dist|\.cache)\//.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }))
}

const linesOf = (text: string): number => text.replace(/\n$/, "").split("\n").length

// --- Reading TypeScript: just enough to tell code from text ---

const regexMayFollow = /(^|[(,=:[!&|?{;+\-*%~^<>]|\b(return|typeof|case|in|of))\s*$/

/** Where the regular expression that begins at `start` ends. */
const regexEnd = (text: string, start: number): number => {
  let isInClass = false
  for (let at = start + 1; at < text.length; at++) {
    const unit = text[at]
    if (unit === "\\") at++
    else if (unit === "\n") return at
    else if (unit === "[") isInClass = true
    else if (unit === "]") isInClass = false
    else if (unit === "/" && !isInClass) return at + 1
  }
  return text.length
}

/** Where the text between quotes that begins behind a quote ends: at the quote, or at a template's `${`. */
const quotedEnd = (text: string, start: number, quote: string): number => {
  for (let at = start; at < text.length; at++) {
    if (text[at] === "\\") at++
    else if (text[at] === quote) return at
    else if (quote === "`" && text.startsWith("${", at)) return at
  }
  return text.length
}

const commentEnd = (text: string, start: number): number => {
  const isBlock = text[start + 1] === "*"
  const end = text.indexOf(isBlock ? "*/" : "\n", start + 2)
  if (end === -1) return text.length
  return isBlock ? end + 2 : end
}

/** The text with comments and regular expressions blanked, and quoted text too unless `keepQuoted`; same length and lines. */
const codeOf = (text: string, keepQuoted = false): string => {
  let code = ""
  const blank = (end: number) => (code += text.slice(code.length, end).replace(/[^\n]/g, " "))
  const keep = (end: number) => (code += text.slice(code.length, end))
  /** The depth of braces in each open template expression. */
  const templates: Array<number> = []
  const passQuoted = (quote: string) => {
    const end = quotedEnd(text, code.length, quote)
    if (keepQuoted) keep(end)
    else blank(end)
    if (text.startsWith("${", end)) templates.push(0)
    keep(text.startsWith("${", end) ? end + 2 : end + 1)
  }
  while (code.length < text.length) {
    const at = code.length
    const unit = text[at]!
    const depth = templates.at(-1)
    if (unit === "/" && (text[at + 1] === "/" || text[at + 1] === "*")) {
      blank(commentEnd(text, at))
    } else if (unit === "/" && regexMayFollow.test(code.slice(-80))) {
      blank(regexEnd(text, at))
    } else if (unit === '"' || unit === "'" || unit === "`") {
      keep(at + 1)
      passQuoted(unit)
    } else if (unit === "}" && depth === 0) {
      templates.pop()
      keep(at + 1)
      passQuoted("`")
    } else {
      if (depth !== undefined && unit === "{") templates[templates.length - 1] = depth + 1
      if (depth !== undefined && unit === "}") templates[templates.length - 1] = depth - 1
      keep(at + 1)
    }
  }
  return code
}

const importsOf = (text: string): Array<string> => {
  const code = codeOf(text, true)
  const statement = /(?:^|[\s;}])(?:import|export)\b(?:[^"';()]*?\bfrom)?\s*\(?\s*["']([^"'\n]+)["']/g
  return [...code.matchAll(statement)].map((found) => found[1]!)
}

/** By the place of each bracket its partner's. An arrow's `>` is none. */
const partnersOf = (code: string): ReadonlyMap<number, number> => {
  const partners = new Map<number, number>()
  const open: Array<number> = []
  for (let at = 0; at < code.length; at++) {
    if ("([{".includes(code[at]!)) open.push(at)
    if (")]}".includes(code[at]!)) {
      const start = open.pop()
      if (start === undefined) continue
      partners.set(start, at)
      partners.set(at, start)
    }
  }
  return partners
}

const skipSpace = (code: string, start: number): number => {
  let at = start
  while (at < code.length && /\s/.test(code[at]!)) at++
  return at
}

const angleEnd = (code: string, start: number): number => {
  let depth = 0
  for (let at = start; at < code.length; at++) {
    if (code[at] === "<") depth++
    if (code[at] === ">" && code[at - 1] !== "=" && --depth === 0) return at + 1
  }
  return code.length
}

const typePrefix = /^(keyof|typeof|readonly|unique|infer|asserts|new|abstract)$/

/** Where the body's brace stands behind a return type that begins at `start`; undefined when there is none. */
const bodyAfterType = (code: string, start: number, partners: ReadonlyMap<number, number>): number | undefined => {
  let at = start
  let isOperandNext = true
  while (true) {
    at = skipSpace(code, at)
    const unit = code[at]
    const word = /^[\w$]+/.exec(code.slice(at, at + 100))?.[0]
    if (unit === undefined) return undefined
    if (unit === "|" || unit === "&" || (!isOperandNext && unit === ".")) {
      isOperandNext = true
      at++
    } else if (isOperandNext && "{([".includes(unit)) {
      at = (partners.get(at) ?? code.length) + 1
      isOperandNext = false
    } else if (isOperandNext && "\"'".includes(unit)) {
      at = code.indexOf(unit, at + 1) + 1
      isOperandNext = false
    } else if (word !== undefined && (isOperandNext || word === "is" || word === "extends")) {
      at += word.length
      isOperandNext = !isOperandNext || typePrefix.test(word)
    } else if (!isOperandNext && code.startsWith("=>", at)) {
      at += 2
      isOperandNext = true
    } else if (!isOperandNext && unit === "<") {
      at = angleEnd(code, at)
    } else if (!isOperandNext && unit === "[") {
      at = (partners.get(at) ?? code.length) + 1
    } else {
      return !isOperandNext && unit === "{" ? at : undefined
    }
  }
}

/** Where an arrow's expression that begins at `start` ends: at an outer bracket, a comma, or a line that does not go on. */
const expressionEnd = (code: string, start: number, partners: ReadonlyMap<number, number>): number => {
  for (let at = start; at < code.length; at++) {
    const unit = code[at]!
    if ("([{".includes(unit)) at = partners.get(at) ?? code.length
    else if (")]},;".includes(unit)) return at
    else if (unit === "\n") {
      const goesOn = /[=>?:|&+\-*/<(]\s*$/.test(code.slice(start - 2, at))
      if (!goesOn && !/[.?:|&+\-*/=<>]/.test(code[skipSpace(code, at)] ?? "")) return at
    }
  }
  return code.length
}

interface FunctionLines {
  readonly line: number
  readonly lines: number
}

/**
 * The functions of a file, with the lines of their bodies: declarations, methods, function expressions and arrows, nested
 * ones also counted in the outer. It reads brackets, not the language: heads are not counted, and a body behind a
 * conditional return type is not seen.
 */
const functionsOf = (text: string): Array<FunctionLines> => {
  const code = codeOf(text)
  const partners = partnersOf(code)
  const found: Array<FunctionLines> = []
  const add = (start: number, end: number) =>
    found.push({ line: linesOf(code.slice(0, start + 1)), lines: linesOf(code.slice(start, end + 1)) })
  for (let at = 0; at < code.length; at++) {
    if (code.startsWith("=>", at)) {
      const body = skipSpace(code, at + 2)
      add(body, code[body] === "{" ? (partners.get(body) ?? code.length) : expressionEnd(code, body, partners) - 1)
    }
    if (code[at] !== ")") continue
    const before = code.slice(Math.max(0, (partners.get(at) ?? 0) - 20), partners.get(at) ?? 0)
    if (/\b(if|for|while|switch|catch|with|await)\s*$/.test(before)) continue
    const next = skipSpace(code, at + 1)
    const body = code[next] === ":" ? bodyAfterType(code, next + 1, partners) : code[next] === "{" ? next : undefined
    if (body !== undefined) add(body, partners.get(body) ?? code.length)
  }
  return found
}

// --- The rules: from a file to what is wrong with it ---

const packageOf = (path: string): string => path.split("/")[1]!

const importFaults = ({ path, text }: SourceFile): Array<string> => {
  const owner = packageOf(path)
  const allowed = packageImports.get(owner) ?? []
  return importsOf(text).flatMap((specifier) => {
    const ours = /^@logbrook\/([^/]+)/.exec(specifier)?.[1]
    if (ours !== undefined && !allowed.includes(ours)) return [`${path}: ${owner} must not import ${specifier}`]
    const target = specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined
    if (target !== undefined && !target.startsWith(`packages/${owner}/`))
      return [`${path}: ${specifier} leaves the package`]
    if (owner === "protocols" && /^(effect|@effect)(\/|$)/.test(specifier))
      return [`${path}: a codec imports ${specifier}`]
    return []
  })
}

/** The files of its own package that a file imports, types included. */
const ownImportsOf = ({ path, text }: SourceFile): Array<string> => {
  const ownName = `@logbrook/${packageOf(path)}/`
  return importsOf(text).flatMap((specifier) => {
    if (specifier.startsWith(".")) return [posix.join(posix.dirname(path), specifier)]
    if (specifier.startsWith(ownName)) return [`packages/${packageOf(path)}/src/${specifier.slice(ownName.length)}.ts`]
    return []
  })
}

/** The files that import each other, by whatever way round: one sorted list per circle. */
const circlesOf = (files: ReadonlyArray<SourceFile>): Array<Array<string>> => {
  const imports = new Map(files.map((file) => [file.path, ownImportsOf(file)]))
  const reachedFrom = (path: string): ReadonlySet<string> => {
    const reached = new Set(imports.get(path))
    // A set's iterator comes to what is added meanwhile.
    for (const next of reached) for (const further of imports.get(next) ?? []) reached.add(further)
    return reached
  }
  const reached = new Map([...imports.keys()].sort().map((path) => [path, reachedFrom(path)]))
  return [...reached].flatMap(([path, leadsTo]) => {
    const circle = [...leadsTo].filter((other) => reached.get(other)?.has(path)).sort()
    return circle[0] === path ? [circle] : []
  })
}

/** Tools over a journal, each with the folders of core that may import it. */
const toolUsers: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["doctor", ["doctor", "backup"]],
  ["backup", ["doctor", "backup"]]
])

const toolFaults = (file: SourceFile): Array<string> => {
  const folder = /^packages\/core\/src\/([^/]+)\//.exec(file.path)?.[1]
  if (folder === undefined) return []
  return ownImportsOf(file).flatMap((target) => {
    const tool = target.split("/")[3]!
    const users = toolUsers.get(tool)
    return users === undefined || users.includes(folder) ? [] : [`${file.path}: the ${tool} stands on it, not under it`]
  })
}

const stateRead = /\b(shard\s*\.\s*actors\s*\.\s*get|actors\s*\.\s*(getOrMake|live|newest|saved|ofKind))\b/g

/** States that are ahead of the journal are the shard's own. */
const stateFaults = ({ path, text }: SourceFile): Array<string> => {
  if (packageOf(path) !== "server") return []
  return [...codeOf(text).matchAll(stateRead)].map((found) => `${path}: ${found[0]} is past every view`)
}

const limitsFile = "packages/core/src/Limits.ts"
const settingsFile = "packages/server/src/config/settings.ts"

/** A limit that is declared, and may be set, and bounds nothing. */
const limitFaults = (files: ReadonlyArray<SourceFile>): Array<string> => {
  const declared = files.find(({ path }) => path === limitsFile)!
  const names = [...codeOf(declared.text).matchAll(/^ {2}readonly (\w+):/gm)].map((found) => found[1]!)
  const readers = files.filter(({ path }) => path !== limitsFile && path !== settingsFile)
  const words = new Set(readers.flatMap(({ text }) => codeOf(text).match(/\w+/g) ?? []))
  return names.filter((name) => !words.has(name)).map((name) => `${limitsFile}: nobody reads ${name}`)
}

const barrelFaults = ({ path, text }: SourceFile): Array<string> => {
  const faults = importsOf(text)
    .filter((specifier) => /^(effect|@effect\/[^/]+|@logbrook\/[^/]+)$/.test(specifier))
    .map((specifier) => `${path}: imports the barrel ${specifier}`)
  if (/(^|\n)\s*export\s*\*/.test(codeOf(text))) faults.push(`${path}: re-exports a whole module`)
  if (/\/index\.tsx?$/.test(path)) faults.push(`${path}: is a barrel by its name`)
  return faults
}

/** The package of a specifier: of `effect/Effect`, `effect`. */
const dependencyOf = (specifier: string): string => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")

/** What is declared and not imported, and the other way round. `dependencies` are those of `packages/NAME/package.json`. */
const dependencyFaults = (
  name: string,
  dependencies: ReadonlyArray<string>,
  files: ReadonlyArray<SourceFile>
): Array<string> => {
  const outside = files
    .flatMap(({ text }) => importsOf(text))
    .filter((specifier) => /^@?[a-z]/.test(specifier) && !specifier.startsWith("node:"))
    .filter((specifier) => !specifier.startsWith(`@logbrook/${name}/`))
  const imported = new Set(outside.map(dependencyOf))
  return [
    ...dependencies.filter((one) => !imported.has(one)).map((one) => `packages/${name}: nothing imports ${one}`),
    ...[...imported]
      .filter((one) => !dependencies.includes(one))
      .map((one) => `packages/${name}: ${one} is not declared`)
  ]
}

const fileLengthFaults = ({ path, text }: SourceFile): Array<string> =>
  linesOf(text) > fileLinesMax ? [`${path}: ${linesOf(text)} lines`] : []

const functionLengthFaults = ({ path, text }: SourceFile): Array<string> =>
  functionsOf(text)
    .filter(({ lines }) => lines > functionLinesMax)
    .map(({ line, lines }) => `${path}:${line}: a function of ${lines} lines`)

const bannedCallFaults = ({ path, text }: SourceFile): Array<string> => {
  if (shells.has(path)) return []
  return [...codeOf(text).matchAll(bannedCalls)].map((found) => `${path}: ${found[0]}`)
}

const unfinishedFaults = ({ path, text }: SourceFile): Array<string> =>
  text
    .split("\n")
    .flatMap((line, index) => (unfinishedWords.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []))

/** The comments of a file, line comments that follow each other as one, with the number of their first line. */
const commentsOf = (text: string): ReadonlyArray<{ readonly line: number; readonly text: string }> =>
  Array.from(text.matchAll(/^[ \t]*(?:\/\*\*?(.*?)\*\/|((?:\/\/ .*(?:\n[ \t]*|$))+))/gms), (found) => ({
    line: text.slice(0, found.index).split("\n").length,
    text: (found[1] ?? found[2]!).replaceAll(/^[ \t]*(?:\*|\/\/) ?/gm, "")
  }))

/** A comment, an entry of its list, a paragraph or a sentence begins so. */
const sentenceStart =
  /(?:^\s*|\n\s*\n|\n\s*(?:- |\d+\. )|[.!?:] (?:\d+\. )?|[.!?:]\n)(Of|What|Who|Whose|One|Otherwise)\b/g

/** Sentences of comments have their subject first. */
const sentenceFaults = ({ path, text }: SourceFile): Array<string> =>
  commentsOf(text).flatMap((comment) =>
    Array.from(
      comment.text.matchAll(sentenceStart),
      ([, word]) => `${path}:${comment.line}: a sentence begins with ${word}`
    )
  )

/** Words of the glossary, each with the files in whose code it would mean something else (docs/ARCHITECTURE.md, Words). */
const strangeWords: ReadonlyArray<{ readonly word: RegExp; readonly means: string; readonly notIn: RegExp }> = [
  {
    word: /\b\w*settl\w*/gi,
    means: "what is done with closed segments",
    notIn: /^packages\/(protocols|actors|core\/src\/(actor|shard)|server\/src\/(kafka|mqtt|net|streams))\//
  },
  {
    // As a verb it is what a function does.
    word: /\b\w*[a-z]Runs?\b|\bRuns?\b|\bruns\b/g,
    means: "record batches in one value of a settled segment",
    notIn: /^packages\/(protocols|actors|core\/src\/(actor|shard)|server\/src\/(kafka|mqtt|net|streams))\//
  },
  {
    word: /\b(?!preAuthFrameBytesMax\b|frameStallMs\b)\w*frame\w*/gi,
    means: "the events of one commit, or WebSocket's",
    notIn: /^packages\/(protocols\/src\/(kafka|mqtt)|server\/src\/kafka|server\/src\/mqtt\/(?!MqttWebSocket\.ts))/
  }
]

const wordFaults = ({ path, text }: SourceFile): Array<string> =>
  strangeWords.flatMap(({ word, means, notIn }) => {
    const used = notIn.test(path) ? (codeOf(text).match(word) ?? []) : []
    return [...new Set(used)].map((name) => `${path}: ${name} has a word that means ${means}`)
  })

/** Where shards are made, one entry for each place. */
const shardMakers = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> =>
  files.flatMap(({ path, text }) => Array.from(codeOf(text).matchAll(/\bnew Shard\(/g), () => path))

const numberedRecord = /^(\d{4})-[a-z0-9-]+\.md$/

/** Architecture decision records are cited by their numbers. `names`: of the files of docs/adr. */
const recordFaults = (names: ReadonlyArray<string>): Array<string> => {
  const byNumber = Map.groupBy(names, (name) => numberedRecord.exec(name)?.[1])
  return [...byNumber].flatMap(([number, same]) => {
    if (number === undefined) return same.map((name) => `docs/adr/${name} has no number`)
    return same.length > 1 ? [`docs/adr: ${number} is the number of ${same.sort().join(" and ")}`] : []
  })
}

const namedFault = /^\s*(?:\w+\(|name: )\s*"([^"]+)"/gm

/** The faults that the simulation plants have a row each in the table of this page, which says what caught them. */
const faultTableFaults = (files: ReadonlyArray<SourceFile>, page: string): Array<string> => {
  const [, table = ""] = page.split("| Planted fault | Seeds |")
  const rows = Array.from(table.split("\n\n")[0]!.matchAll(/^\| ([^-].*?) \| [\d–]/gm), ([, name]) => name!)
  const names = files.flatMap(({ text }) => Array.from(text.matchAll(namedFault), ([, name]) => name!))
  return [
    ...names.filter((name) => !rows.includes(name)).map((name) => `no row: ${name}`),
    ...rows.filter((name) => !names.includes(name)).map((name) => `no fault: ${name}`)
  ]
}

// --- The house ---

const folders = readdirSync(join(root, "packages"))
const sources = folders.flatMap((name) => filesUnder(`packages/${name}/src`))
const packages = [...new Set(sources.map(({ path }) => packageOf(path)))]
const everything = [
  ...sources,
  ...folders.flatMap((name) => filesUnder(`packages/${name}/test`)),
  ...["test", "bench", "examples"].flatMap(filesUnder)
]
const pure = sources.filter(({ path }) => ["core", "actors"].includes(packageOf(path)))

describe("the house is clean", () => {
  it("and was looked at", () => {
    for (const name of packages) expect([...packageImports.keys()], `packages/${name} has no rule`).toContain(name)
    for (const [name, filesMin] of sourceFilesMin) {
      const seen = sources.filter(({ path }) => packageOf(path) === name).length
      expect(seen, `files seen in packages/${name}`).toBeGreaterThanOrEqual(filesMin)
    }
    expect(everything.length).toBeGreaterThan(sources.length + 10)
    expect(sources.flatMap(({ text }) => importsOf(text)).length).toBeGreaterThan(20)
    expect(sources.flatMap(({ text }) => functionsOf(text)).length).toBeGreaterThan(200)
  })

  it("imports point one way", () => expect(sources.flatMap(importFaults)).toEqual([]))
  it("tools stand on the journal, not under it", () => expect(sources.flatMap(toolFaults)).toEqual([]))
  it("shells read states by views", () => expect(sources.flatMap(stateFaults)).toEqual([]))
  it("every limit is read", () => expect(limitFaults(sources)).toEqual([]))
  it("no circles of imports", () => expect(circlesOf(sources)).toEqual([]))
  it.each(packages)("packages/%s declares what its source imports, and nothing else", (name) => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8")) as {
      readonly dependencies: Readonly<Record<string, string>>
    }
    const files = sources.filter(({ path }) => packageOf(path) === name)
    expect(dependencyFaults(name, Object.keys(dependencies), files)).toEqual([])
  })
  it("no barrels", () => expect(sources.flatMap(barrelFaults)).toEqual([]))
  it(`files have at most ${fileLinesMax} lines`, () => expect(everything.flatMap(fileLengthFaults)).toEqual([]))
  it(`functions have at most ${functionLinesMax} lines`, () =>
    expect(sources.flatMap(functionLengthFaults)).toEqual([]))
  it("no clock, chance or timer in the core", () => expect(pure.flatMap(bannedCallFaults)).toEqual([]))
  it("nothing is left for later", () => expect(everything.flatMap(unfinishedFaults)).toEqual([]))
  it("a word of the glossary has one meaning", () => {
    for (const { word, means, notIn } of strangeWords) {
      expect(
        sources.filter(({ path }) => notIn.test(path)).length,
        `files that ${word} is looked for in`
      ).toBeGreaterThan(50)
      expect(sources.flatMap(({ text }) => codeOf(text).match(word) ?? []).length, means).toBeGreaterThan(20)
    }
    expect(sources.flatMap(wordFaults)).toEqual([])
  })
  it("shards are made in one place", () =>
    expect(shardMakers(everything)).toEqual(["packages/core/src/shard/Shards.ts"]))
  it("a decision record has a number of its own", () => {
    const names = readdirSync(join(root, "docs/adr"))
    expect(names.length).toBeGreaterThan(30)
    expect(recordFaults(names)).toEqual([])
  })
  it("a fault that the simulation plants has its row", () => {
    const files = everything.filter(({ path }) => path.startsWith("test/simulation/faults/"))
    expect(files.flatMap(({ text }) => text.match(namedFault) ?? []).length).toBeGreaterThan(150)
    expect(faultTableFaults(files, readFileSync(join(root, "docs/lab/reliability.md"), "utf8"))).toEqual([])
  })
  it("comments are sentences with their subject first", () => {
    expect(sources.flatMap(({ text }) => commentsOf(text)).length).toBeGreaterThan(2000)
    expect(sources.flatMap(sentenceFaults)).toEqual([])
  })
})

// --- Each rule finds what was planted, and nothing in what only looks like it ---

const planted = (path: string, text: string): SourceFile => ({ path, text })
const barrelsIn = (text: string, path = "packages/core/src/A.ts") => barrelFaults(planted(path, text)).length
const longFunctionsIn = (text: string) => functionLengthFaults(planted("a.ts", text))
const filler = (lines: number): string => "  work()\n".repeat(lines)

describe("the rules find", () => {
  it.each<[string, string]>([
    ["packages/protocols/src/A.ts", 'import { x } from "@logbrook/core/Limits"'],
    ["packages/protocols/src/A.ts", 'import * as Effect from "effect/Effect"'],
    ["packages/core/src/A.ts", 'import type { x } from "@logbrook/actors/Group"'],
    ["packages/core/src/a/B.ts", 'import { x } from "../../../protocols/src/Wire.ts"'],
    ["packages/actors/src/A.ts", 'export { x } from "@logbrook/protocols/Wire"'],
    ["packages/actors/src/A.ts", 'const x = await import("@logbrook/server/Server")'],
    ["packages/actors/src/A.ts", 'import {\n  a,\n  b\n} from "@logbrook/server/Server"'],
    ["packages/console/src/A.tsx", 'import "@logbrook/server/Server"']
  ])("a wrong arrow in %s: %s", (path, text) => {
    expect(importFaults(planted(path, text))).toHaveLength(1)
  })

  it.each([
    ["packages/core/src/journal/A.ts", 'import { x } from "../doctor/Doctor.ts"', 1],
    ["packages/core/src/settle/A.ts", 'import type { x } from "@logbrook/core/backup/Backup"', 1],
    ["packages/core/src/storage/A.ts", 'import { x } from "../backup/files.ts"', 1],
    ["packages/core/src/backup/A.ts", 'import { x } from "../doctor/Doctor.ts"\nimport { y } from "./Pins.ts"', 0],
    ["packages/core/src/doctor/A.ts", 'import { x } from "../journal/Journal.ts"', 0],
    ["packages/server/src/A.ts", 'import { x } from "@logbrook/core/doctor/Doctor"', 0]
  ])("a tool under the journal in %s: %s", (path, text, faults) => {
    expect(toolFaults(planted(path, text))).toHaveLength(faults)
  })

  it.each([
    ["packages/server/src/A.ts", "shard.actors.get(id)", 1],
    ["packages/server/src/A.ts", "const { actors } = shard\nfor (const each of actors.live()) show(each)", 1],
    ["packages/server/src/A.ts", "shard.actors\n  .ofKind(GroupKind)", 1],
    ["packages/server/src/A.ts", "shard.actors.liveCount // actors.get(id)", 0],
    ["packages/core/src/A.ts", "this.actors.get(id)", 0]
  ])("a state that is read past a view in %s: %s", (path, text, faults) => {
    expect(stateFaults(planted(path, text))).toHaveLength(faults)
  })

  it("a limit that nobody reads, though it may be set and a comment tells of it", () => {
    const limits = planted(limitsFile, "interface Limits {\n  readonly aMax: number\n  readonly bMax: number\n}")
    const settings = planted(settingsFile, "const named = (limits: Limits) => limits.aMax + limits.bMax")
    const reader = planted("packages/core/src/A.ts", "const room = ({ aMax }: Limits) => aMax // not bMax")
    expect(limitFaults([limits, settings, reader])).toEqual([`${limitsFile}: nobody reads bMax`])
  })

  it("no wrong arrow where there is none", () => {
    const comment = '// import { x } from "@logbrook/server/Server"\nimport { y } from "../Limits.ts"\n'
    expect(importFaults(planted("packages/core/src/a/B.ts", comment))).toEqual([])
    const text = 'import { x } from "@logbrook/core/Limits"\nconst say = `import "@logbrook/server/A"`\n'
    expect(importsOf(text)).toContain("@logbrook/core/Limits")
    expect(importFaults(planted("packages/server/src/A.ts", text.split("\n")[0]!))).toEqual([])
  })

  it.each<[string, ReadonlyArray<string>]>([
    ["of two", ["b", "a"]],
    ["of three", ["b", "c", "a"]],
    ["of one", ["a"]]
  ])("a circle %s", (_what, targets) => {
    const files = targets.map((target, i) => planted(`packages/core/src/${"abc"[i]}.ts`, `import "./${target}.ts"\n`))
    expect(circlesOf(files)).toEqual([files.map(({ path }) => path)])
  })

  it("a circle by types, by re-exports, by the package's own name, and two that do not touch", () => {
    const files = [
      planted("packages/core/src/a.ts", 'import type { b } from "./d/b.ts"'),
      planted("packages/core/src/d/b.ts", 'import { a } from "@logbrook/core/a"'),
      planted("packages/core/src/d/e.ts", 'export { f } from "./f.ts"\nimport { a } from "../a.ts"'),
      planted("packages/core/src/d/f.ts", 'const e = await import("./e.ts")')
    ]
    expect(circlesOf(files)).toEqual([
      ["packages/core/src/a.ts", "packages/core/src/d/b.ts"],
      ["packages/core/src/d/e.ts", "packages/core/src/d/f.ts"]
    ])
  })

  it("no circle in what is imported twice, from another package, or in a comment", () => {
    const files = [
      planted("packages/server/src/a.ts", 'import "./b.ts"\nimport "./c.ts"\nimport "@logbrook/core/a"'),
      planted("packages/server/src/b.ts", 'import "./c.ts"\nimport "node:fs"'),
      planted("packages/server/src/c.ts", '// import "./a.ts"\nimport "@logbrook/core/c"'),
      planted("packages/core/src/c.ts", 'const text = `import "./a.ts"`')
    ]
    expect(circlesOf(files)).toEqual([])
  })

  it("dependencies that nobody imports, and imports that nobody declares", () => {
    const files = [
      planted("packages/core/src/a.ts", 'import * as Effect from "effect/Effect"\nimport "node:fs"\nimport "./b.ts"'),
      planted("packages/core/src/b.ts", '// import "lmdb"\nimport { x } from "@effect/platform/HttpApi"'),
      planted("packages/core/src/c.ts", 'import { y } from "@logbrook/core/a"\nconst tar = await import("tar")')
    ]
    expect(dependencyFaults("core", ["effect", "@effect/platform", "tar"], files)).toEqual([])
    expect(
      dependencyFaults("core", ["effect", "@effect/platform", "tar", "lmdb", "@effect/platform-node"], files)
    ).toEqual(["packages/core: nothing imports lmdb", "packages/core: nothing imports @effect/platform-node"])
    expect(dependencyFaults("core", ["effect", "@effect/platform"], files)).toEqual([
      "packages/core: tar is not declared"
    ])
  })

  it("barrels", () => {
    expect(barrelsIn('import { Effect } from "effect"')).toBe(1)
    expect(barrelsIn('import { HttpServer } from "@effect/platform"')).toBe(1)
    expect(barrelsIn('import { x } from "@logbrook/core"')).toBe(1)
    expect(barrelsIn('export * from "./B.ts"')).toBe(1)
    expect(barrelsIn("", "packages/core/src/a/index.ts")).toBe(1)
    expect(barrelsIn('import * as Effect from "effect/Effect"\nimport { x } from "@logbrook/core/Limits"')).toBe(0)
  })

  it("long files", () => {
    expect(fileLengthFaults(planted("a.ts", filler(fileLinesMax)))).toEqual([])
    expect(fileLengthFaults(planted("a.ts", filler(fileLinesMax + 1)))).toHaveLength(1)
  })

  it.each<[string, string, string]>([
    ["a declaration", "function f(a: number) {\n", "}"],
    ["a return type", "function f(a: number): Map<string, { a: 1 }> | undefined {\n", "}"],
    ["an object type", "function f(): { a: number; b(): void } {\n", "}"],
    ["a predicate", "const o = { f(x: unknown): x is string {\n", "} }"],
    ["a function type", "class A {\n f(): (x: number) => void {\n", "}\n}"],
    ["a method", "class A {\n  async *f<T>(a = (b) => 1): AsyncGenerator<T> {\n", "}\n}"],
    ["a getter", "class A {\n  get f(): number {\n", "}\n}"],
    ["an arrow", "const f = (a: number): void => {\n", "}"],
    ["a short arrow", "const f = a => {\n", "}"],
    ["a generator", "Effect.gen(function* () {\n", "})"],
    ["an arrow with an expression", "const f = () =>\n  call(\n", ")\nconst b = 1"],
    ["an arrow with an object", "const f = () => ({\n", "})\nconst b = 1"],
    ["a chain", "const f = () => a\n  .b(() => {\n", "})\n  .c()\nconst b = 1"]
  ])("a long function: %s", (_what, head, tail) => {
    const countOf = (lines: number) => functionLengthFaults(planted("a.ts", head + filler(lines) + tail)).length
    expect(countOf(functionLinesMax - 10)).toBe(0)
    expect(countOf(functionLinesMax)).toBeGreaterThan(0)
  })

  it("no long function in long lists, classes, types, comments, templates and loops", () => {
    const many = filler(functionLinesMax + 10)
    expect(longFunctionsIn(`const f = [\n${many}]\nclass A {\n${many}}\ninterface B {\n${many}}\n`)).toEqual([])
    expect(longFunctionsIn(`/* f() {\n${many}} */\nconst a = \`f() {\n${many}}\`\n`)).toEqual([])
    expect(longFunctionsIn(`for (const a of b) {\n${many}}\nif (a) {\n${many}}\n`)).toEqual([])
    expect(longFunctionsIn(`const f = (a) => a / 2\nconst r = /[/"{(]/.test(f)\n${many}`)).toEqual([])
    expect(longFunctionsIn(`const f = () => \`\${g({ a: "}" })} {\`\n${many}`)).toEqual([])
    expect(functionsOf("const f = (a: () => void): number => { return a(() => 1) }\n")).toHaveLength(3)
  })

  it.each([
    "Date.now()",
    "Math.random()",
    "setTimeout(f, 1)",
    "setInterval(f)",
    "setImmediate(f)",
    "performance.now()"
  ])("%s outside of the shells", (call) => {
    expect(bannedCallFaults(planted("packages/core/src/A.ts", `const a = ${call}`))).toHaveLength(1)
    expect(bannedCallFaults(planted("packages/core/src/A.ts", `const a = \`\${${call}}\``))).toHaveLength(1)
    expect(bannedCallFaults(planted("packages/core/src/A.ts", `// ${call}\nconst a = "${call}"`))).toEqual([])
    expect(bannedCallFaults(planted("packages/core/src/Clock.ts", `const a = ${call}`))).toEqual([])
  })

  it.each([
    "/** Of the queue. */",
    "/** It waits. What waits is bounded. */",
    "/**\n * It waits.\n * Who waits is told.\n */",
    "/**\n * 1. It waits.\n * 2. One that waits is told.\n */",
    "  // It waits.\n  // Whose it is, nobody knows.\n  const a = 1",
    "// Otherwise it waits."
  ])("a sentence without its subject first: %s", (text) => {
    expect(sentenceFaults(planted("a.ts", `const before = 1\n${text}\n`))).toHaveLength(1)
  })

  it("no such sentence in texts, nor within a sentence", () => {
    const text =
      '/** The bytes of what waits, One of them. */\nconst a = "// Of the queue"\n// It says what waits\n// One day.\n'
    expect(sentenceFaults(planted("a.ts", text))).toEqual([])
  })

  it.each([
    ["packages/server/src/mqtt/A.ts", "const isUnsettled = true", 1],
    ["packages/core/src/settle/A.ts", "const isUnsettled = true", 0],
    ["packages/core/src/shard/A.ts", "export class Run {}\nconst ackRuns = []\nfor (const each of runs) each.run()", 3],
    ["packages/core/src/journal/A.ts", "const runs = journal.visitRuns()", 0],
    ["packages/actors/src/A.ts", 'const isRunning = runtime("AppendRun") // a run', 0],
    ["packages/server/src/kafka/A.ts", "encodeFrame(frames, limits.frameStallMs)", 2],
    ["packages/server/src/mqtt/MqttWebSocket.ts", "new FrameReader()", 0]
  ])("words in %s that mean something else: %s", (path, text, faults) => {
    expect(wordFaults(planted(path, text))).toHaveLength(faults)
  })

  it("a second place that makes shards", () => {
    const text = "const one = new Shard({})\nconst all = new Shards({})\nconst two = new Shard({}) // new Shard("
    expect(shardMakers([planted("test/a.ts", text)])).toEqual(["test/a.ts", "test/a.ts"])
  })

  it("decision records of the same number, or of none", () => {
    expect(recordFaults(["0007-a.md", "0008-b.md", "0009-of-a-1.md"])).toEqual([])
    expect(recordFaults(["0007-b.md", "0008-b.md", "0007-a.md", "c.md"])).toEqual([
      "docs/adr: 0007 is the number of 0007-a.md and 0007-b.md",
      "docs/adr/c.md has no number"
    ])
  })

  it("a planted fault without a row, and a row without its fault", () => {
    const page =
      "\n| Planted fault | Seeds | Caught as |\n|---|---|---|\n| one | 2 | a \\| b |\n| gone | 14 | c |\n\n| else | 3 | d |\n"
    const text = 'inActor("one", "partition", wrong),\n  inMethod(\n    "two",\n'
    expect(faultTableFaults([planted("a.ts", text)], page)).toEqual(["no row: two", "no fault: gone"])
  })

  it("a promise made by hand, and words of the unfinished", () => {
    expect(bannedCallFaults(planted("packages/actors/src/A.ts", "new Promise((done) => done())"))).toHaveLength(1)
    expect(unfinishedFaults(planted("a.ts", `// ${"TO"}${"DO"}: more\n`))).toHaveLength(1)
    expect(unfinishedFaults(planted("a.ts", "// todos and mastodon\n"))).toEqual([])
  })
})
