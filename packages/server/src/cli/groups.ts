import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { JournalError } from "@logbrook/core/journal/JournalError"
import { CliError, exitCodes, usageError } from "./CliError.ts"
import { type FieldsOf, listAll, pathSegment, requestJson } from "./client.ts"
import { plainText } from "../plainText.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { lagFields, lagText, type TotalLag } from "./groupLagText.ts"
import { type DeletedGroup, deleteStored, type StoredGroup, storedGroups } from "./groupsOffline.ts"
import { bytesText, counted, durationText, fields, table, type Io, outJson } from "./Io.ts"
import { directoryInstead, urlOf } from "./optionValues.ts"

interface GroupSummary extends TotalLag {
  readonly group: string
  readonly state: string
  readonly members: number
  readonly committedOffsets: number
  readonly memoryBytes: number
}

interface GroupDetails extends TotalLag {
  readonly group: string
  readonly state: string
  readonly generation: number
  readonly details: {
    readonly protocol: string | null
    readonly leader: string | null
    readonly emptySince: string | null
    readonly pendingMembers: ReadonlyArray<string>
    readonly members: ReadonlyArray<{
      readonly memberId: string
      readonly groupInstanceId: string | null
      readonly clientId: string
      readonly clientHost: string
      readonly sessionTimeoutMs: number
      readonly rebalanceTimeoutMs: number
      readonly waitedFor: "join" | "sync" | null
      readonly partitions: ReadonlyArray<string> | null
    }>
  }
  readonly offsets: ReadonlyArray<{
    readonly stream: string
    readonly partition: number
    readonly offset: number
    readonly logStartOffset: number | null
    readonly highWatermark: number | null
    readonly lag: number | null
    readonly lost: number | null
  }>
}

const summaryFields: FieldsOf<GroupSummary> = ["group", "state", "members", ...lagFields]
const detailsFields: FieldsOf<GroupDetails> = ["group", "state", "generation", "details", "offsets", ...lagFields]

export const list: Run = (args, io) =>
  Effect.gen(function* () {
    const directory = yield* directoryInstead(args)
    if (directory !== undefined) {
      showStored(args, io, yield* storedGroups(directory))
      return exitCodes.ok
    }
    const groups = yield* listAll<GroupSummary>(yield* urlOf(args, io), "/api/v1/groups", summaryFields)
    if (args.flag("json")) outJson(io, groups, 2)
    else {
      table(
        io,
        ["GROUP", "STATE", "MEMBERS", "LAG", "LOST"],
        groups.map((each) => [each.group, each.state, String(each.members), lagText(each), String(each.lost)])
      )
    }
    return exitCodes.ok
  })

const showStored = (args: Arguments, io: Io, groups: ReadonlyArray<StoredGroup>): void => {
  if (args.flag("json")) outJson(io, groups, 2)
  else {
    table(
      io,
      ["GROUP", "STATE", "MEMBERS", "OFFSETS", "MEMORY"],
      groups.map(({ group, state, members, committedOffsets, memoryBytes }) =>
        [group, state, members, committedOffsets, bytesText(memoryBytes)].map(String)
      )
    )
  }
}

const printGroup = (io: Io, group: GroupDetails): void => {
  const { protocol, leader, members, pendingMembers, emptySince } = group.details
  fields(io, [
    ["group", group.group],
    ["state", group.state],
    ["generation", String(group.generation)],
    ["protocol", protocol ?? "-"],
    ["leader", leader ?? "-"],
    ["lag", lagText(group)],
    ["lost", String(group.lost)]
  ])
  if (emptySince !== null) fields(io, [["without members since", emptySince]])
  if (pendingMembers.length > 0) fields(io, [["given an id and not joined yet", pendingMembers.join(" ")]])
  io.out("")
  table(
    io,
    ["MEMBER", "CLIENT", "HOST", "SESSION", "REBALANCE", "WAITED FOR", "PARTITIONS"],
    members.map((member) => [
      member.groupInstanceId === null ? member.memberId : `${member.memberId} (static ${member.groupInstanceId})`,
      member.clientId,
      member.clientHost,
      durationText(member.sessionTimeoutMs),
      durationText(member.rebalanceTimeoutMs),
      member.waitedFor ?? "-",
      member.partitions?.join(" ") ?? "-"
    ])
  )
  io.out("")
  table(
    io,
    ["STREAM", "PARTITION", "OFFSET", "START", "END", "LAG", "LOST"],
    group.offsets.map(({ stream, partition, offset, logStartOffset, highWatermark, lag, lost }) =>
      [stream, partition, offset, logStartOffset ?? "-", highWatermark ?? "-", lag ?? "unknown", lost ?? "unknown"].map(
        String
      )
    )
  )
}

export const describe: Run = (args, io) =>
  Effect.gen(function* () {
    const path = `/api/v1/groups/${yield* pathSegment(args.positionals[0]!)}`
    const group = yield* requestJson<GroupDetails>(yield* urlOf(args, io), path, detailsFields)
    if (args.flag("json")) outJson(io, group, 2)
    else printGroup(io, group)
    return exitCodes.ok
  })

/** Deletes one group after the other. The groups that cannot be deleted are told at the end; the exit code is the first one's. */
const deleteAt = (
  url: string,
  names: ReadonlyArray<string>,
  tell: (deleted: DeletedGroup) => void
): Effect.Effect<void, CliError> =>
  Effect.gen(function* () {
    const failed: Array<CliError> = []
    for (const group of names) {
      const path = Effect.map(pathSegment(group), (segment) => `/api/v1/groups/${segment}`)
      const asked = Effect.flatMap(path, (at) =>
        requestJson<{ readonly offsets: number }>(url, at, ["offsets"], "DELETE")
      )
      const deleted = yield* Effect.either(asked)
      if (Either.isRight(deleted)) {
        tell({ group, ...deleted.right })
        continue
      }
      const { exitCode, code, message, hint } = deleted.left
      if (exitCode === exitCodes.unreachable) return yield* Effect.fail(deleted.left)
      failed.push(new CliError(exitCode, code, `"${group}": ${message}`, hint))
    }
    const [first, ...others] = failed
    if (first === undefined) return
    const details = others.map(({ message }) => message)
    yield* Effect.fail(new CliError(first.exitCode, first.code, `not deleted: ${first.message}`, first.hint, details))
  })

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)

/** Whether a name is as one of the patterns says, in which `*` is any text. */
const matching = (patterns: ReadonlyArray<string>): ((name: string) => boolean) => {
  const texts = patterns.map((pattern) => pattern.split("*").map(escaped).join(".*"))
  const expression = new RegExp(`^(?:${texts.join("|")})$`, "su")
  return (name) => expression.test(name)
}

/** The groups that are named: as they are, or by patterns those that there are. */
const namedGroups = (
  args: Arguments,
  io: Io,
  directory: string | undefined
): Effect.Effect<ReadonlyArray<string>, CliError | JournalError> =>
  Effect.gen(function* () {
    const words = [...new Set(args.positionals)]
    if (!args.flag("pattern")) return words
    const groups: ReadonlyArray<{ readonly group: string }> =
      directory === undefined
        ? yield* listAll<GroupSummary>(yield* urlOf(args, io), "/api/v1/groups", summaryFields)
        : yield* storedGroups(directory)
    const names = groups.map(({ group }) => group).filter(matching(words))
    if (names.length > 0) return names
    return yield* Effect.fail(
      new CliError(exitCodes.notFound, "E_UNKNOWN_GROUP", `no group is named as ${words.join(" or ")}`)
    )
  })

export const remove: Run = (args, io) =>
  Effect.gen(function* () {
    const directory = yield* directoryInstead(args)
    const force = args.flag("force")
    if (force && directory === undefined) {
      return yield* Effect.fail(usageError("--force goes with --data-dir: a server's members must leave"))
    }
    const names = yield* namedGroups(args, io, directory)
    const what = names.length === 1 ? `the group ${names[0]}` : `${names.length} groups`
    if (!(yield* confirmed(args, io, `delete ${what} and the committed offsets?`))) return exitCodes.failure
    const tell = ({ group, offsets }: DeletedGroup): void => {
      if (args.flag("json")) outJson(io, { group, offsets })
      else io.out(plainText(`deleted ${group} (${counted(offsets, "offset")})`))
    }
    if (directory === undefined) yield* deleteAt(yield* urlOf(args, io), names, tell)
    else for (const each of yield* deleteStored(directory, names, force)) tell(each)
    return exitCodes.ok
  })
