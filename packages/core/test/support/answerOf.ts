import type { EntryIndex, ListAnswer, NotDecided } from "@logbrook/core/shard/CommandList"
import type { Exit } from "effect/Exit"

/** The answer to one entry of a list, with its type. */
export const answerOf = <Reply, Failure>(
  { exits }: ListAnswer,
  entry: EntryIndex<Reply, Failure>
): Exit<Reply, Failure | NotDecided> => exits[entry] as Exit<Reply, Failure | NotDecided>
