import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { diagnose, type Diagnosis } from "@logbrook/core/doctor/Doctor"
import { LmdbFile } from "@logbrook/core/journal/LmdbFile"
import { repair } from "@logbrook/core/doctor/Repair"
import { tableNames } from "@logbrook/core/journal/LmdbSegment"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { definitions } from "../crash/journalLoad.ts"
import { liveOn, openSmall, readAll, readOnce, type Contents } from "./doctorJournal.ts"

/** 2,000 for the whole proof: LOGBROOK_FLIPS=2000. */
const flips = Number(process.env["LOGBROOK_FLIPS"] ?? 300)
const flipper = fileURLToPath(new URL("doctorFlips.ts", import.meta.url))
const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-doctor-"))
const whole = path.join(root, "whole")
let expected: ReadonlyArray<Contents>

const pause = (): void => undefined
const examine = (directory: string): Promise<Diagnosis> => diagnose({ directory, definitions, pause })

const copyOf = (name: string): string => {
  const directory = path.join(root, name)
  fs.cpSync(whole, directory, { recursive: true })
  return directory
}

const segmentsOf = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory).filter((name) => /^seg-\d{8}\.mdb$/.test(name))

const write = (file: string, at: number, bytes: Buffer): void => {
  const descriptor = fs.openSync(file, "r+")
  fs.writeSync(descriptor, bytes, 0, bytes.length, at)
  fs.closeSync(descriptor)
}

/** Where these bytes are in the file, once. */
const placeOf = (file: string, bytes: Buffer): number => {
  const at = fs.readFileSync(file).indexOf(bytes)
  expect(at).toBeGreaterThan(0)
  return at
}

beforeAll(async () => {
  fs.mkdirSync(whole)
  await liveOn(whole, 20)
  await liveOn(whole, 14, 20)
  for (const name of fs.readdirSync(whole)) if (name.endsWith("-lock")) fs.rmSync(path.join(whole, name))
  expected = await readAll(copyOf("read"))
})

afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

describe("doctor", () => {
  it("finds nothing in a directory that is whole, and says what is there", async () => {
    const found = await examine(whole)
    expect(found.findings).toEqual([])
    expect(found).toMatchObject({ isClean: true, isLive: false, firstSeq: 1, epoch: 2, firstBadSeq: undefined })
    expect(found.segments).toBeGreaterThan(3)
    expect(found.nextSeq).toBe(expected[0]!.nextSeq)
    expect(found.snapshotFromSeq).toBeGreaterThan(1)
  })

  it("beside a process that writes, and after one that was killed", async () => {
    const directory = copyOf("live")
    const journal = openSmall(directory)
    const live = await examine(directory)
    expect(live).toMatchObject({ isClean: true, isLive: true, findings: [] })
    await journal.close()
    fs.writeFileSync(path.join(directory, "lock"), "1 1 another boot")
    expect((await examine(directory)).findings).toMatchObject([{ kind: "lock", isDamage: false }])
  })

  it("names the records whose bytes are damaged, and saves all others", async () => {
    const directory = copyOf("records")
    const [name] = segmentsOf(directory)
    const file = path.join(directory, name!)
    // 6,000 bytes are a value of its own.
    const text = /\d \d+ \d;/.exec(valueText(file))![0]
    write(file, placeOf(file, Buffer.alloc(5000, text)) + 100, Buffer.from("damaged"))
    const found = await examine(directory)
    expect(found.findings).toMatchObject([{ kind: "records", segment: name, isDamage: true }])
    expect(found.firstBadSeq).toBeUndefined()
    const [{ logId, baseOffset, lastOffset }] = found.findings as [Diagnosis["findings"][number]]
    expect(logId).toBe(Number(text.split(" ")[0]))
    expect(baseOffset! <= lastOffset!).toBe(true)
    const target = path.join(root, "records.repaired")
    const repaired = await repair({ diagnosis: found, target, definitions, nowMs: Date.now, pause })
    expect(repaired).toMatchObject({ lostFromSeq: undefined, lostRecords: found.findings })
    expect(repaired.diagnosis).toMatchObject({ nextSeq: found.nextSeq })
    expect(repaired.diagnosis.findings).toMatchObject([{ kind: "records", logId, baseOffset }])
    await expect(readOnce(target)).rejects.toThrow(`records of log ${logId} at offset ${baseOffset}`)
  })

  it("cuts at the first damaged frame, and keeps what is before it", async () => {
    const directory = copyOf("frame")
    const names = segmentsOf(directory)
    const last = path.join(directory, names.at(-1)!)
    // The second run's reason stands in the last frames.
    const lastFrame = fs.readFileSync(last).lastIndexOf(Buffer.from("shutdown"))
    write(last, lastFrame, Buffer.from("SHUT"))
    const found = await examine(directory)
    expect(found.findings).toMatchObject([{ kind: "frame", segment: names.at(-1), seq: found.firstBadSeq }])
    const target = path.join(root, "frame.repaired")
    const { diagnosis, lostFromSeq } = await repair({ diagnosis: found, target, definitions, nowMs: Date.now, pause })
    expect(diagnosis).toMatchObject({ isClean: true, nextSeq: found.firstBadSeq, firstSeq: 1 })
    expect(lostFromSeq).toBe(found.firstBadSeq)
    expect((await readOnce(target)).nextSeq).toBe(found.firstBadSeq! + 1)
    expect((await examine(target)).epoch).toBeGreaterThan(found.epoch + 100)
    expect((await examine(directory)).findings).toEqual(found.findings)
  })

  it("says when the epoch of what was cut cannot be raised", async () => {
    const directory = copyOf("unfoldable")
    const last = path.join(directory, segmentsOf(directory).at(-1)!)
    write(last, fs.readFileSync(last).lastIndexOf(Buffer.from("shutdown")), Buffer.from("SHUT"))
    const found = await examine(directory)
    const target = path.join(root, "unfoldable.repaired")
    const broken = definitions.map((definition: AnyDefinition) => ({
      ...definition,
      load: () => {
        throw new Error("no state of ours")
      },
      evolve: () => {
        throw new Error("no event of ours")
      }
    }))
    const repaired = await repair({ diagnosis: found, target, definitions: broken, nowMs: Date.now, pause })
    expect(repaired.epochRefused).toMatch(/no (state|event) of ours/)
  })

  it("keeps the segments before one that is lost", async () => {
    const directory = copyOf("segment")
    const names = segmentsOf(directory)
    fs.truncateSync(path.join(directory, names[2]!), 0)
    const found = await examine(directory)
    expect(found.findings[0]).toMatchObject({ kind: "segment", segment: names[2] })
    const target = path.join(root, "segment.repaired")
    const { diagnosis } = await repair({ diagnosis: found, target, definitions, nowMs: Date.now, pause })
    expect(diagnosis).toMatchObject({ isClean: true, segments: 2, nextSeq: found.firstBadSeq })
    await readAll(target)
  })

  it("repairs what nobody reads too: free pages and pages' own room", async () => {
    const directory = copyOf("structure")
    const name = segmentsOf(directory).at(-1)!
    const file = path.join(directory, name)
    // The upper bound of a leaf's free room, of the first page that has one.
    const bytes = fs.readFileSync(file)
    const page = Array.from({ length: bytes.length / 4096 }, (_, i) => i).find(
      (i) => i > 1 && bytes.readUInt16LE(i * 4096 + 18) === 2 && isUsedPage(file, i)
    )!
    write(file, page * 4096 + 22, Buffer.of(0, 0))
    const found = await examine(directory)
    expect(found.isClean).toBe(false)
    const target = path.join(root, "structure.repaired")
    const { diagnosis } = await repair({ diagnosis: found, target, definitions, nowMs: Date.now, pause })
    expect(diagnosis.isClean).toBe(true)
  })

  it("refuses to repair what is in use, and a target that is not empty", async () => {
    const directory = copyOf("used")
    fs.truncateSync(path.join(directory, segmentsOf(directory).at(-1)!), 0)
    const found = await examine(directory)
    const options = { diagnosis: found, target: whole, definitions, nowMs: Date.now, pause }
    await expect(repair(options)).rejects.toMatchObject({ reason: "Io" })
    const isLive = { ...options, target: path.join(root, "none"), diagnosis: { ...found, isLive: true } }
    await expect(repair(isLive)).rejects.toMatchObject({ reason: "Locked" })
  })
})

/** Repeated texts of records: what the values of their own are filled with. */
const valueText = (file: string): string => {
  const text = fs.readFileSync(file, "latin1")
  const found = /(\d \d+ \d;)\1{500,}/.exec(text)
  expect(found).not.toBeNull()
  return found![1]!
}

/** Whether damage to this page is seen: it belongs to a table. */
const isUsedPage = (file: string, page: number): boolean => {
  const bytes = fs.readFileSync(file)
  const copy = `${file}.probe`
  bytes.writeUInt16LE(0, page * 4096 + 22)
  fs.writeFileSync(copy, bytes)
  const seen: Array<string> = []
  const opened = LmdbFile.open(copy)
  opened.check(tableNames, ({ message }) => seen.push(message))
  opened.close()
  fs.rmSync(copy)
  return seen.length > 0
}

interface Outcome {
  readonly mutation: string
  /** `clean` or `named`. */
  readonly doctor: string
  /** `same`, `refused`, `differs`, or what ended the process. */
  readonly server: string
}

interface Ran {
  readonly out: string
  readonly signal: NodeJS.Signals | null
}

const flip = (work: string, from: number, to: number, again: boolean): Promise<Ran> => {
  const words = [whole, work, String(from), String(to), JSON.stringify(expected), ...(again ? ["again"] : [])]
  const child = spawn(process.execPath, ["--conditions=source", flipper, ...words], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  let out = ""
  child.stdout.on("data", (data: Buffer) => (out += data.toString()))
  return new Promise((resolve) => child.on("close", (_code, signal) => resolve({ out, signal })))
}

const outcomeOf = (line: string): Outcome => {
  const [mutation, rest] = line.split(": ") as [string, string]
  const [doctor, server] = rest.split(" ") as [string, string]
  return { mutation, doctor, server }
}

/** All of a range; a process that LMDB has ended is started again behind what ended it. */
const flipAll = async (from: number, to: number): Promise<ReadonlyArray<Outcome>> => {
  const work = path.join(root, `work-${from}`)
  const outcomes: Array<Outcome> = []
  for (let next = from; next < to;) {
    const { out, signal } = await flip(work, next, to, false)
    const lines = out.split("\n")
    const cut = lines.pop()!
    outcomes.push(...lines.map(outcomeOf))
    next = from + outcomes.length
    if (signal === null && next < to) throw new Error(`the process ended by itself behind ${cut}`)
    if (signal === null) break
    const again = await flip(work, 0, 0, true)
    const told = again.signal ?? again.out.trim()
    outcomes.push({
      ...outcomeOf(`${cut}-`),
      server: told === "refused" ? `refused after ${signal}` : `${signal}, ${told}`
    })
    next = from + outcomes.length
  }
  return outcomes
}

describe(`a data directory with ${flips} kinds of damage`, () => {
  it("serves what it held, or says that it cannot; doctor names every one that is not harmless", async () => {
    const half = Math.floor(flips / 2)
    const outcomes = (await Promise.all([flipAll(0, half), flipAll(half, flips)])).flat()
    expect(outcomes).toHaveLength(flips)
    const wrong = outcomes.filter(
      ({ doctor, server }) => !(server === "same" || (server.startsWith("refused") && doctor === "named"))
    )
    expect(wrong).toEqual([])
    const count = (is: (outcome: Outcome) => boolean): number => outcomes.filter(is).length
    // The proof has seen damage, and harmless damage.
    expect(count(({ doctor }) => doctor === "named")).toBeGreaterThan(flips / 4)
    expect(count(({ doctor }) => doctor === "clean")).toBeGreaterThan(flips / 4)
    // LMDB may end the process once, on a page that only a look at all of them tells; then the next start names it.
    expect(count(({ server }) => server.startsWith("refused after"))).toBeLessThanOrEqual(flips / 100)
  })
}, 120_000)
