import * as fs from "node:fs"
import { kindOf, type AnyDefinition } from "../actor/Definition.ts"
import { logIdOf, partitionKind, type LogState } from "../actor/LogEvents.ts"
import { firstEventSeqOf } from "../journal/firstEventSeqOf.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { lockState } from "../journal/lock.ts"
import { Replay } from "../shard/Replay.ts"
import { emptyChain, type ChainState } from "./ChainState.ts"
import { checkSegment } from "./checkSegment.ts"
import { Findings, type Finding } from "./Finding.ts"
import { PageDamage } from "../journal/LmdbFile.ts"
import { ReadOnlyChain, type ChainLink } from "./ReadOnlyChain.ts"
import { listSegments, openSegment, heldInstead, type Listing } from "./segments.ts"

export interface DoctorOptions {
  readonly directory: string
  /** The definitions that can fold the events; without them states are not looked at. */
  readonly definitions: ReadonlyArray<AnyDefinition>
  /** Between two steps: bytes read since the last one, of about how many in all. */
  readonly pause: (bytes: number, bytesTotal: number) => Promise<void> | void
}

export interface Diagnosis {
  readonly directory: string
  /** A living process writes to it; its newest segment was read up to where it was at the beginning. */
  readonly isLive: boolean
  readonly segments: number
  readonly firstSeq: Seq
  readonly nextSeq: Seq
  readonly frames: number
  readonly events: number
  readonly records: number
  readonly bytes: number
  readonly epoch: number
  readonly snapshotFromSeq: Seq | undefined
  readonly freeBytes: number
  /** Everything before is whole; undefined if everything is. Records may be lost before it, which findings tell. */
  readonly firstBadSeq: Seq | undefined
  readonly isClean: boolean
  readonly findings: ReadonlyArray<Finding>
  /** Findings that the list has no room for. */
  readonly moreFindings: number
}

/** Free room below which a journal cannot begin a new segment. */
const freeBytesMin = 1024 * 1024 * 1024

/** Segments that a server settles meanwhile are looked for again. */
const attemptsMax = 5

/** Looks at everything in a data directory. Throws `JournalError` "Io" for one that cannot be read. */
export const diagnose = async (options: DoctorOptions): Promise<Diagnosis> => {
  for (let attempt = 1; ; attempt++) {
    const listing = listSegments(options.directory)
    const diagnosis = await diagnoseListed(options, listing)
    const isSettledMeanwhile = listing.segments.some((segment) => heldInstead(segment) !== undefined)
    if (!isSettledMeanwhile || attempt === attemptsMax) return diagnosis
  }
}

const diagnoseListed = async (options: DoctorOptions, listing: Listing): Promise<Diagnosis> => {
  const { directory } = options
  const findings = new Findings()
  const isLive = aroundTheSegments(directory, findings)
  const { segments, unknown, leftovers } = listing
  for (const name of unknown) {
    findings.notice("leftover", "is none of the files that this version knows", { segment: name })
  }
  for (const name of leftovers)
    findings.notice("leftover", "was left by something that was cut short", { segment: name })
  const bytesTotal = segments.reduce((sum, { bytes }) => sum + bytes, 0)
  const chain = emptyChain()
  const links: Array<ChainLink> = []
  for (const [i, segment] of segments.entries()) {
    const own = new Findings()
    const before = { ...chain, logEnds: new Map(chain.logEnds) }
    const opened = openSegment(segment, isLive && i === segments.length - 1, own)
    if (opened !== undefined) {
      const pause = (bytes: number): Promise<void> | void => options.pause(bytes, bytesTotal)
      await checkSegment(opened.source, chain, own, { endSeq: Number.MAX_SAFE_INTEGER, pause })
    } else if (own.damages > 0) chain.firstBadSeq ??= chain.nextSeq ?? 1
    if (own.damages > 0 && isLive && !fs.existsSync(segment.file)) {
      // Retention took it while it was read: it was the oldest, and nothing before it counts.
      Object.assign(chain, emptyChain(), { firstBadSeq: before.firstBadSeq })
      await opened?.source.close()
      continue
    }
    for (const finding of own.list) findings.take(finding)
    findings.more += own.more
    if (opened === undefined) continue
    const { source } = opened
    links.push({ name: segment.name, source, firstSeq: source.firstSeq, nextSeq: chain.nextSeq!, bytes: segment.bytes })
  }
  if (links.length === 0 && findings.damages === 0) findings.damage("segment", "there is no segment: no journal")
  const snapshotFromSeq = checkStates(links, chain, options.definitions, findings)
  for (const { source } of links) await source.close()
  const { bavail, bsize } = fs.statfsSync(directory)
  return {
    directory,
    isLive,
    segments: segments.length,
    firstSeq: links.length === 0 ? 1 : firstEventSeqOf(links),
    nextSeq: chain.nextSeq ?? 1,
    frames: chain.frames,
    events: chain.events,
    records: chain.records,
    bytes: bytesTotal,
    epoch: chain.epoch,
    snapshotFromSeq,
    freeBytes: bavail * bsize,
    firstBadSeq: chain.firstBadSeq,
    isClean: findings.damages === 0,
    findings: findings.list,
    moreFindings: findings.more
  }
}

/** The lock and the disk; true if the directory is in use. */
const aroundTheSegments = (directory: string, findings: Findings): boolean => {
  const { state, pid } = lockState(directory)
  if (state === "stale") {
    const ended = "has ended without letting go, which the next start takes over"
    const what =
      pid === 0
        ? `a start failed after a process that ${ended}`
        : `process ${pid} ${ended}, or runs in another container`
    findings.notice("lock", what)
  }
  let free: number
  try {
    const { bavail, bsize } = fs.statfsSync(directory)
    free = bavail * bsize
  } catch (error) {
    throw new JournalError("Io", `cannot read ${directory}: ${(error as Error).message}`)
  }
  if (free < freeBytesMin) findings.notice("space", `${free} bytes are free: a new segment may not find room`)
  return state === "held"
}

/** Folds what is whole, from the newest snapshot on, and compares with the hashes that were journaled. */
const checkStates = (
  links: ReadonlyArray<ChainLink>,
  chain: ChainState,
  definitions: ReadonlyArray<AnyDefinition>,
  findings: Findings
): Seq | undefined => {
  const first = links[0]
  const endSeq = chain.firstBadSeq ?? chain.nextSeq ?? 1
  if (first === undefined || endSeq <= first.source.firstSeq) return undefined
  const whole = links.filter(({ source }) => source.firstSeq < endSeq)
  try {
    const replayed = new Replay(definitions, {
      endSeq,
      onMismatch: ({ seq, actor }) => findings.damage("state", `${actor} differs from what was live`, { seq })
    }).run(new ReadOnlyChain(whole))
    for (const kind of replayed.unknownKinds) findings.damage("state", `nobody knows actors of the kind ${kind}`)
    for (const [id, state] of replayed.states) {
      if (kindOf(id) !== partitionKind) continue
      const { nextOffset, isDeleted } = state as LogState
      const logId = logIdOf(id)
      const end = chain.logEnds.get(logId)
      if (isDeleted || end === undefined || end === nextOffset || chain.firstBadSeq !== undefined) continue
      findings.damage("offsets", `the records end at ${end}, the partition's state at ${nextOffset}`, { logId })
    }
    return replayed.snapshotFromSeq
  } catch (error) {
    if (!(error instanceof JournalError) && !(error instanceof PageDamage) && !(error instanceof Error)) throw error
    findings.damage("state", `states cannot be folded up to seq ${endSeq}: ${error.message}`)
    return undefined
  }
}
