import * as Exit from "effect/Exit"
import type { ActorId } from "../actor/Definition.ts"
import type { Address, AnyKind, CommandOf, FailureOf, ReplyOf, Tagged } from "../actor/Kind.ts"
import type { Seq } from "../journal/Journal.ts"

/** Where an entry stands in its list; the type remembers how it is answered. */
export type EntryIndex<Reply, Failure = never> = number & { readonly "~answer": readonly [Reply, Failure] }

/** In a command of a list: stands for a field of the answer to an earlier entry. */
export interface FromEntry<Value> {
  readonly fromEntry: number
  readonly field: string
  /** For types only: never there. */
  readonly "~value"?: Value
}

/** A command whose fields may be references. Only the fields themselves: nothing within them is looked at. */
type WithReferences<C> = {
  readonly [Field in keyof C]: Field extends "_tag" ? C[Field] : C[Field] | FromEntry<C[Field]>
}

type CommandOfTag<K, Tag> = Extract<CommandOf<K>, { readonly _tag: Tag }>

/** Where a record of a partition batch is. */
export interface RecordPlace {
  readonly logId: number
  readonly offset: number
}

/**
 * Why a record is not in its log. `MessageTooLarge`: no batch has room for it. `Unavailable`: its partition has not taken the batch,
 * since it was deleted or its actor cannot answer, or the turn was lost.
 */
export type RecordRefusal = "MessageTooLarge" | "Unavailable"

interface BatchOfTurn {
  /** Among the turn's partition batches. */
  readonly number: number
  /** Why it takes no records, if that is so. */
  readonly refusal: RecordRefusal | undefined
}

export type Entry =
  /** A record that waits in one of the turn's partition batches already: that batch's number, and which of its records. */
  | { readonly _tag: "Record"; readonly batch: number; readonly index: number }
  /** Known to be refused before the turn. */
  | { readonly _tag: "Refused"; readonly reason: RecordRefusal }
  | {
      readonly _tag: "Command"
      readonly to: ActorId
      readonly command: Tagged
      /** Entries that must have been taken. */
      readonly onlyIf: ReadonlyArray<number>
    }

/** An entry was not decided, because another one that it needs was not taken. */
export class NotDecided extends Error {
  readonly _tag = "NotDecided"
  readonly needed: number

  constructor(needed: number) {
    super(`entry ${needed} of the list was not taken`)
    this.needed = needed
  }
}

/** The answer to a list, once it is durable. */
export interface ListAnswer {
  /** The answer to each entry, in order. */
  readonly exits: ReadonlyArray<Exit.Exit<unknown, unknown>>
  /** The list's place in its shard's journal: what was decided before it has its events below, all else has them here or above. */
  readonly seq: Seq
}

/** The answer to one entry of a list, with its type. */
export const answerOf = <Reply, Failure>(
  { exits }: ListAnswer,
  entry: EntryIndex<Reply, Failure>
): Exit.Exit<Reply, Failure | NotDecided> => exits[entry] as Exit.Exit<Reply, Failure | NotDecided>

const noConditions: ReadonlyArray<number> = []

/**
 * Commands to actors of one shard that concern each other. Plain data, so that it may go to another shard or node.
 *
 *     entry 0   record 3 of batch 1                                   -> { logId: 1, offset: 77 }
 *     entry 1   session/a  Enqueue  baseOffset: offset of entry 0     -> Enqueued
 *     entry 2   session/b  ReceiveQos2  only if 0 and 1 were taken    -> Qos2Remembered
 *
 * 1. Entries are decided in order, in one turn, with nothing in between.
 * 2. An entry is taken if it is answered with a success. An entry that needs another (`onlyIf`, or a reference to its answer) is
 *    decided if that was taken, and else answered `NotDecided`. Nothing else of the list depends on it.
 * 3. All that is decided is one commit; what the entries are answered is told at once, when that is durable.
 * 4. No command of a list may park its reply.
 */
export class CommandList {
  readonly entries: Array<Entry> = []

  /** All entries so far, for a condition of the next one. */
  get all(): ReadonlyArray<number> {
    return [...this.entries.keys()]
  }

  /** A record that was put into a partition batch since the last turn, by `Shard.partitionBatch`. */
  record({ number, refusal }: BatchOfTurn, index: number): EntryIndex<RecordPlace, RecordRefusal> {
    return this.#add(
      refusal === undefined ? { _tag: "Record", batch: number, index } : { _tag: "Refused", reason: refusal }
    )
  }

  add<K extends AnyKind, const Tag extends CommandOf<K>["_tag"]>(
    to: Address<K>,
    command: { readonly _tag: Tag } & WithReferences<CommandOfTag<K, Tag>>,
    onlyIf: ReadonlyArray<number> = noConditions
  ): EntryIndex<ReplyOf<K, CommandOfTag<K, Tag>>, FailureOf<K>> {
    return this.#add({ _tag: "Command", to, command, onlyIf })
  }

  #add<Reply, Failure>(entry: Entry): EntryIndex<Reply, Failure> {
    return (this.entries.push(entry) - 1) as EntryIndex<Reply, Failure>
  }
}

/** A field of what `entry` is answered, for a later command of the same list. */
export const fromEntry = <Reply, Field extends keyof Reply & string>(
  entry: EntryIndex<Reply, unknown>,
  field: Field
): FromEntry<Reply[Field]> => ({ fromEntry: entry, field })

const isReference = (value: unknown): value is FromEntry<unknown> =>
  typeof value === "object" && value !== null && "fromEntry" in value

/** The command as its actor decides it, `exits` being the answers to the entries before. */
export const resolved = (
  { command, onlyIf }: Extract<Entry, { readonly _tag: "Command" }>,
  exits: ReadonlyArray<Exit.Exit<unknown, unknown>>
): Tagged | NotDecided => {
  for (const needed of onlyIf) if (!isTaken(exits[needed])) return new NotDecided(needed)
  const fields = command as unknown as Readonly<Record<string, unknown>>
  let known: Record<string, unknown> | undefined
  for (const field in fields) {
    const value = fields[field]
    if (!isReference(value)) continue
    const exit = exits[value.fromEntry]
    if (!isTaken(exit)) return new NotDecided(value.fromEntry)
    known ??= { ...command }
    known[field] = (exit.value as Record<string, unknown>)[value.field]
  }
  return known === undefined ? command : (known as unknown as Tagged)
}

const isTaken = (exit: Exit.Exit<unknown, unknown> | undefined): exit is Exit.Success<unknown, unknown> =>
  exit !== undefined && Exit.isSuccess(exit)
