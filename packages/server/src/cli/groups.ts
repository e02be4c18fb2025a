import { exitCodes } from "./CliError.ts"
import { listAll, pathSegment, requestJson } from "./client.ts"
import type { Arguments } from "./commandLine.ts"
import { fields, table, type Io } from "./Io.ts"
import { urlOf } from "./options.ts"

interface GroupSummary {
  readonly group: string
  readonly state: string
  readonly members: number
  readonly lag: number
}

interface GroupDetails {
  readonly group: string
  readonly state: string
  readonly generation: number
  readonly lag: number
  readonly details: {
    readonly protocol: string | null
    readonly leader: string | null
    readonly members: ReadonlyArray<{
      readonly memberId: string
      readonly clientId: string
      readonly clientHost: string
      readonly partitions: ReadonlyArray<string> | null
    }>
  }
  readonly offsets: ReadonlyArray<{
    readonly stream: string
    readonly partition: number
    readonly offset: number
    readonly highWatermark: number | null
    readonly lag: number | null
  }>
}

export const list = async (args: Arguments, io: Io): Promise<number> => {
  const groups = await listAll<GroupSummary>(urlOf(args, io), "/api/v1/groups")
  if (args.flag("json")) io.out(JSON.stringify(groups, null, 2))
  else {
    const rows = groups.map(({ group, state, members, lag }) => [group, state, String(members), String(lag)])
    table(io, ["GROUP", "STATE", "MEMBERS", "LAG"], rows)
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
  const { protocol, leader, members } = group.details
  fields(io, [
    ["group", group.group],
    ["state", group.state],
    ["generation", String(group.generation)],
    ["protocol", protocol ?? "-"],
    ["leader", leader ?? "-"],
    ["lag", String(group.lag)]
  ])
  io.out("")
  table(
    io,
    ["MEMBER", "CLIENT", "HOST", "PARTITIONS"],
    members.map((member) => [member.memberId, member.clientId, member.clientHost, member.partitions?.join(" ") ?? "-"])
  )
  io.out("")
  table(
    io,
    ["STREAM", "PARTITION", "OFFSET", "END", "LAG"],
    group.offsets.map(({ stream, partition, offset, highWatermark, lag }) =>
      [stream, partition, offset, highWatermark ?? "-", lag ?? "-"].map(String)
    )
  )
  return exitCodes.ok
}
