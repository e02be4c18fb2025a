import * as Effect from "effect/Effect"
import type { Diagnosis } from "@logbrook/core/doctor/Doctor"
import type { Finding } from "@logbrook/core/doctor/Finding"
import type { Repaired } from "@logbrook/core/doctor/Repair"
import { readingJournalLong } from "@logbrook/core/journal/readingJournal"
import { plainText } from "../plainText.ts"
import { exitCodes } from "./CliError.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { allDefinitions } from "./definitions.ts"
import { checkFree, journalDirectoryOf } from "./directories.ts"
import { bytesText, counted, painted, type Io, outJson } from "./Io.ts"
import { beNice, makeProgress, stepping, type Progress } from "./progress.ts"

type NameOf = (logId: number) => string

const placeText = ({ segment, seq, logId, baseOffset, lastOffset }: Finding, nameOf: NameOf): string =>
  [
    segment,
    seq === undefined ? undefined : `#${seq}`,
    logId === undefined ? undefined : nameOf(logId),
    baseOffset === undefined ? undefined : `offsets ${baseOffset} to ${lastOffset}`
  ]
    .filter((part) => part !== undefined)
    .join(", ")

const printFinding = (io: Io, finding: Finding, nameOf: NameOf): void => {
  const kind = painted(
    io,
    finding.isDamage ? "red" : "yellow",
    finding.isDamage ? finding.kind : `note: ${finding.kind}`
  )
  const place = placeText(finding, nameOf)
  io.out(`  ${kind}${plainText(`${place === "" ? "" : ` at ${place}`}: ${finding.message}`)}`)
}

const printDiagnosis = (io: Io, diagnosis: Diagnosis, nameOf: NameOf): void => {
  const { directory, segments, bytes, firstSeq, nextSeq, events, records, findings, moreFindings, isClean } = diagnosis
  const verdict = isClean ? painted(io, "green", "ok") : painted(io, "red", "damaged")
  io.out(
    `${verdict}: ${plainText(directory)}, ${counted(segments, "segment")} (${bytesText(bytes)}), #${firstSeq} to #${nextSeq - 1}, ` +
      `${counted(events, "event")}, ${counted(records, "record")}${diagnosis.isLive ? ", in use" : ""}`
  )
  for (const finding of findings) printFinding(io, finding, nameOf)
  if (moreFindings > 0) io.out(`  and ${moreFindings} more`)
}

/** Says what a repair would keep. */
const savedText = ({ firstSeq, firstBadSeq, nextSeq, findings }: Diagnosis): string => {
  if (firstBadSeq !== undefined && firstBadSeq <= firstSeq)
    return "nothing can be saved from this directory: restore a backup"
  const lost = findings.filter(({ kind }) => kind === "records").length
  const events = firstBadSeq === undefined ? `all events up to #${nextSeq - 1}` : `the events up to #${firstBadSeq - 1}`
  return `${events} can be saved${lost === 0 ? "" : `, ${lost} ${lost === 1 ? "batch" : "batches"} of records cannot`}: logbrook doctor --repair`
}

const printRepaired = (io: Io, repaired: Repaired, nameOf: NameOf): void => {
  const { diagnosis, lostFromSeq, lostToSeq, lostRecords, epochRefused } = repaired
  const { firstSeq, nextSeq } = diagnosis
  const directory = plainText(diagnosis.directory)
  io.out(`${painted(io, "bold", "saved")}: ${directory}, #${firstSeq} to #${nextSeq - 1}`)
  if (lostFromSeq !== undefined) {
    const to = lostToSeq > lostFromSeq ? ` to #${lostToSeq - 1} or later` : ""
    io.out(`  ${painted(io, "red", "lost")}: events from #${lostFromSeq}${to}`)
  }
  for (const finding of lostRecords) {
    const place = plainText(placeText({ ...finding, segment: undefined }, nameOf))
    io.out(`  ${painted(io, "red", "lost")}: records of ${place}`)
  }
  if (epochRefused !== undefined) {
    const what = `Kafka clients may not notice what is lost: ${plainText(epochRefused)}`
    io.out(`  ${painted(io, "red", "its leader epoch is not raised")}, ${what}`)
  }
  if (!diagnosis.isClean) {
    io.out("  it is not clean:")
    for (const finding of diagnosis.findings) printFinding(io, finding, nameOf)
  }
  io.out(`  the damaged directory is as it was; logbrook serve --data-dir ${directory}`)
}

/** `sensors/3` where the catalog can be read. */
const namesIn = ({ directory, firstBadSeq, nextSeq }: Diagnosis): Effect.Effect<NameOf> =>
  Effect.promise(async () => {
    const [{ recoveredNames }, { displayName }, { partitionId }] = await Promise.all([
      import("../tools/recoveredNames.ts"),
      import("../tools/StreamNames.ts"),
      import("@logbrook/core/actor/LogEvents")
    ])
    const names = recoveredNames(directory, firstBadSeq ?? nextSeq)
    return (logId) =>
      names === undefined ? `log ${logId}` : displayName(partitionId(logId), names).replace("partition/", "")
  })

const examined = (directory: string, progress: Progress) =>
  Effect.gen(function* () {
    const { diagnose } = yield* Effect.promise(() => import("@logbrook/core/doctor/Doctor"))
    const options = { directory, definitions: yield* allDefinitions, pause: stepping(progress) }
    return yield* readingJournalLong(() => diagnose(options))
  }).pipe(Effect.ensuring(Effect.sync(progress.end)))

const mended = (args: Arguments, io: Io, diagnosis: Diagnosis) =>
  Effect.gen(function* () {
    const { repair } = yield* Effect.promise(() => import("@logbrook/core/doctor/Repair"))
    const target = args.text("into") ?? `${diagnosis.directory.replace(/[\\/]+$/, "")}.repaired`
    yield* checkFree(target, "--into")
    const definitions = yield* allDefinitions
    const progress = makeProgress(io, "saving")
    const options = { diagnosis, target, definitions, nowMs: Date.now, pause: stepping(progress) }
    return yield* Effect.ensuring(
      readingJournalLong(() => repair(options)),
      Effect.sync(progress.end)
    )
  })

/** Exit code 1 where damage was found, repaired or not. */
export const doctor: Run = (args, io) =>
  Effect.gen(function* () {
    const directory = yield* journalDirectoryOf(args, io)
    beNice()
    const diagnosis = yield* examined(directory, makeProgress(io, "reading"))
    const code = diagnosis.isClean ? exitCodes.ok : exitCodes.failure
    const repaired = args.flag("repair") && !diagnosis.isClean ? yield* mended(args, io, diagnosis) : undefined
    if (args.flag("json")) {
      outJson(io, repaired === undefined ? diagnosis : { ...diagnosis, repaired }, 2)
      return code
    }
    const nameOf = yield* namesIn(diagnosis)
    printDiagnosis(io, diagnosis, nameOf)
    if (repaired !== undefined) printRepaired(io, repaired, nameOf)
    else if (!diagnosis.isClean) io.out(`  ${savedText(diagnosis)}`)
    return code
  })
