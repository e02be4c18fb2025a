import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { until } from "../../bench/servers/processes.ts"
import { isUnanswered, type Side } from "./Side.ts"

/** A request that both servers get, one behind the other, each with its own ids in it. */
export interface Case {
  readonly api: AnyApi
  readonly version: number
  /** What is asked, in words. */
  readonly what: string
  /** Kafka's brokers learn of what was changed some time after the change was answered: they are asked again. */
  readonly isEventual?: boolean
  readonly send: (side: Side) => Promise<unknown>
}

/** The cases of a subject, and the topics that they ask about. */
export interface Family {
  readonly name: string
  readonly topics: ReadonlyArray<TopicToMake>
  readonly cases: () => ReadonlyArray<Case>
}

export interface TopicToMake {
  readonly name: string
  readonly partitions: number
  readonly configs?: ReadonlyArray<readonly [string, string]>
}

export type Ask<A extends AnyApi> = (side: Side, version: number) => RequestInputOf<A>

export interface CaseOptions<A extends AnyApi> {
  /** Keeps what later cases ask with. */
  readonly learn?: (side: Side, response: ResponseOf<A>) => void
  /** Asked again until its answer is one that this takes, such as when a transaction has ended. */
  readonly until?: (response: ResponseOf<A>) => boolean
  readonly isEventual?: boolean
  /** Of the side's connections; the first has no name. */
  readonly connection?: string
}

const settledMsMax = 20_000

export const single = <A extends AnyApi>(
  api: A,
  version: number,
  what: string,
  ask: Ask<A>,
  { learn, until: isSettled, isEventual = false, connection }: CaseOptions<A> = {}
): Case => ({
  api,
  version,
  what,
  isEventual,
  send: async (side) => {
    const send = () => side.ask(api, version, ask(side, version), connection)
    let response = await send()
    if (isSettled !== undefined && !isUnanswered(response) && !isSettled(response)) {
      await until(`${api.name} ${version}, ${what}, of ${side.name}`, settledMsMax, async () => {
        response = await send()
        return isUnanswered(response) || isSettled(response)
      })
    }
    if (!isUnanswered(response)) learn?.(side, response)
    return response
  }
})

export const versionsOf = ([min, max]: readonly [number, number]): ReadonlyArray<number> =>
  Array.from({ length: max - min + 1 }, (_, i) => min + i)

/** The same in each of these versions. */
export const every = <A extends AnyApi>(
  api: A,
  versions: readonly [number, number],
  what: string,
  ask: Ask<A>,
  options?: CaseOptions<A>
): ReadonlyArray<Case> => versionsOf(versions).map((version) => single(api, version, what, ask, options))
