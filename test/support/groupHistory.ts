import type { ServerProcess } from "./server.ts"

export interface GroupEvent {
  readonly seq: number
  readonly type: string
  readonly cause: { readonly seq?: number; readonly origin?: string }
  readonly event: {
    readonly reason?: string
    readonly memberId?: string
    readonly generation?: number
    readonly leader?: string | null
  }
}

export interface GroupMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  /** `stream-3` for each; null without an assignment. */
  readonly partitions: ReadonlyArray<string> | null
}

export interface GroupState {
  readonly state: string
  readonly generation: number
  readonly members: ReadonlyArray<GroupMember>
}

/** What happened to a group, from the journal of the running server. */
export const groupEvents = async (server: ServerProcess, group: string): Promise<ReadonlyArray<GroupEvent>> => {
  const events: Array<GroupEvent> = []
  for (let cursor: string | null = "0"; cursor !== null;) {
    const route: string = `/journal/events?actor=group/${group}&limit=1000&cursor=${cursor}`
    const { data, meta }: { data: ReadonlyArray<GroupEvent>; meta: { cursor: string | null; hasnext: boolean } } =
      await server.get(route)
    events.push(...data)
    cursor = meta.hasnext ? meta.cursor : null
  }
  return events
}

/** The group as it is now. */
export const groupNow = async (server: ServerProcess, group: string): Promise<GroupState> =>
  (await server.get<{ details: GroupState }>(`/groups/${group}`)).details

/** The group as it was just after an event, folded again from the journal. */
export const groupAt = async (server: ServerProcess, group: string, seq: number): Promise<GroupState> =>
  (await server.get<{ state: GroupState }>(`/journal/state?actor=group/${group}&at=${seq}`)).state

/** What is wrong with the assignment in a state: partitions that are nobody's, or somebody's and another's. */
export const wrongAssignment = (
  { generation, members }: GroupState,
  all: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const assigned = members.flatMap(({ partitions }) => partitions ?? []).toSorted()
  return assigned.join() === all.toSorted().join() ? [] : [`generation ${generation}: assigned ${assigned.join()}`]
}
