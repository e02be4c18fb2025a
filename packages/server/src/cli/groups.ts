import { CliError, exitCodes, usageError } from "./CliError.ts"
import { listAll, pathSegment, requestJson } from "./client.ts"
import type { Arguments } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import type { DeletedGroup } from "./groupsOffline.ts"
import { bytesText, counted, durationText, fields, table, type Io } from "./Io.ts"
import { urlOf } from "./options.ts"

interface TotalLag {
  readonly lag: number | null
  readonly knownLag: number
  readonly lost: number
  readonly unknownPartitions: number
}

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

/** `120`, or `120, 1 partition unknown`. */
const lagText = ({ knownLag, unknownPartitions }: TotalLag): string =>
  unknownPartitions === 0
    ? String(knownLag)
    : `${knownLag}, ${unknownPartitions} ${unknownPartitions === 1 ? "partition" : "partitions"} unknown`

/** Undefined without `--data-dir`. Throws `CliError` where a server is named, too. */
const directoryIn = (args: Arguments): string | undefined => {
  const directory = args.text("data-dir")
  if (directory === undefined || args.text("url") === undefined) return directory
  throw usageError("--url and --data-dir exclude each other")
}

export const list = async (args: Arguments, io: Io): Promise<number> => {
  const directory = directoryIn(args)
  if (directory !== undefined) return listStored(directory, args, io)
  const groups = await listAll<GroupSummary>(urlOf(args, io), "/api/v1/groups")
  if (args.flag("json")) io.out(JSON.stringify(groups, null, 2))
  else {
    table(
      io,
      ["GROUP", "STATE", "MEMBERS", "LAG", "LOST"],
      groups.map((each) => [each.group, each.state, String(each.members), lagText(each), String(each.lost)])
    )
  }
  return exitCodes.ok
}

const listStored = async (directory: string, args: Arguments, io: Io): Promise<number> => {
  const { storedGroups } = await import("./groupsOffline.ts")
  const groups = await storedGroups(directory)
  if (args.flag("json")) io.out(JSON.stringify(groups, null, 2))
  else {
    table(
      io,
      ["GROUP", "STATE", "MEMBERS", "OFFSETS", "MEMORY"],
      groups.map(({ group, state, members, committedOffsets, memoryBytes }) =>
        [group, state, members, committedOffsets, bytesText(memoryBytes)].map(String)
      )
    )
  }
  return exitCodes.ok
}

export const describe = async (args: Arguments, io: Io): Promise<number> => {
  const path = `/api/v1/groups/${pathSegment(args.positionals[0]!)}`
  const group = await requestJson<GroupDetails>(urlOf(args, io), path)
  if (args.flag("json")) {
    io.out(JSON.stringify(group, null, 2))
    return exitCodes.ok
  }
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
  return exitCodes.ok
}

/** Deletes one group after the other. The groups that cannot be deleted are told at the end; the exit code is the first one's. */
const deleteAt = async (
  url: string,
  names: ReadonlyArray<string>,
  tell: (deleted: DeletedGroup) => void
): Promise<void> => {
  const failed: Array<CliError> = []
  for (const group of names) {
    try {
      tell({
        group,
        ...(await requestJson<{ offsets: number }>(url, `/api/v1/groups/${pathSegment(group)}`, "DELETE"))
      })
    } catch (error) {
      if (!(error instanceof CliError) || error.exitCode === exitCodes.unreachable) throw error
      failed.push(new CliError(error.exitCode, error.code, `"${group}": ${error.message}`, error.hint))
    }
  }
  const [first, ...others] = failed
  if (first === undefined) return
  const details = others.map(({ message }) => message)
  throw new CliError(first.exitCode, first.code, `not deleted: ${first.message}`, first.hint, details)
}

export const remove = async (args: Arguments, io: Io): Promise<number> => {
  const directory = directoryIn(args)
  const force = args.flag("force")
  if (force && directory === undefined) throw usageError("--force goes with --data-dir: a server's members must leave")
  const names = [...new Set(args.positionals)]
  const what = names.length === 1 ? `the group ${names[0]}` : `${names.length} groups`
  if (!(await confirmed(args, io, `delete ${what} and the committed offsets?`))) return exitCodes.failure
  const tell = ({ group, offsets }: DeletedGroup): void =>
    io.out(args.flag("json") ? JSON.stringify({ group, offsets }) : `deleted ${group} (${counted(offsets, "offset")})`)
  if (directory === undefined) await deleteAt(urlOf(args, io), names, tell)
  else {
    const { deleteStored } = await import("./groupsOffline.ts")
    for (const each of await deleteStored(directory, names, force)) tell(each)
  }
  return exitCodes.ok
}
