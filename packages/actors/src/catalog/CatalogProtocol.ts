import { address, kind } from "@logbrook/core/actor/Kind"
import type { RepeatIntents } from "@logbrook/core/actor/Outbox"
import * as Data from "effect/Data"
import type { ListChange } from "./StreamConfig.ts"

/** A topic in Kafka's words. Bound: it has filters and is written by MQTT; free: written by Kafka clients. */
export interface Stream {
  readonly name: string
  /** 22 characters of base64url, as Kafka prints it; another one after a re-creation under the same name. */
  readonly topicId: string
  /** The log ids of partitions 0, 1, …; a log id is never used again. */
  readonly logIds: ReadonlyArray<number>
  readonly filters: ReadonlyArray<string>
  /** A key expression, see `KeyExpression`. */
  readonly key: string
  readonly config: ReadonlyMap<string, string>
  readonly createdAtMs: number
}

export const isBound = (stream: Stream): boolean => stream.filters.length > 0

export interface CreateStream {
  readonly _tag: "CreateStream"
  readonly name: string
  /** Random, made by the shell. */
  readonly topicId: string
  readonly filters: ReadonlyArray<string>
  /** -1: 16 for a bound stream, 1 for a free one. */
  readonly partitions: number
  readonly key: string
  readonly config: ReadonlyArray<readonly [name: string, value: string]>
  /** Checks everything, changes nothing. */
  readonly validateOnly: boolean
}

export interface AlterStream {
  readonly _tag: "AlterStream"
  readonly name: string
  /** Undefined leaves what is there. A bound stream keeps at least one filter, a free one none. */
  readonly filters?: ReadonlyArray<string>
  /** Null takes a setting back to its default. */
  readonly config?: ReadonlyArray<readonly [name: string, value: string | null]>
  /** Settings that `config` leaves out go back to their defaults. */
  readonly isWholeConfig?: boolean
  /** Changes to settings that are lists, after `config`. */
  readonly lists?: ReadonlyArray<ListChange>
  /** How many there are from now on: more than before. */
  readonly partitions?: number
  /** Checks everything, changes nothing. */
  readonly validateOnly?: boolean
}

export type CatalogCommand =
  | CreateStream
  | { readonly _tag: "DeleteStream"; readonly name: string }
  | AlterStream
  /** A block of producer ids, never given twice (KIP-98). */
  | { readonly _tag: "AllocateProducerIds"; readonly count: number }
  /** The logs of a deleted stream are deleted, and its offsets forgotten, in the same commit; ignored if that is known. */
  | { readonly _tag: "ConfirmDeletion"; readonly topicId: string }
  | RepeatIntents

export type CatalogEvent =
  | { readonly _tag: "StreamCreated"; readonly stream: SavedStream }
  | {
      readonly _tag: "StreamAltered"
      readonly name: string
      readonly filters: ReadonlyArray<string>
      readonly config: ReadonlyArray<readonly [string, string]>
      /** The log ids of partitions that come behind those that there are. Undefined: none. */
      readonly addedLogIds?: ReadonlyArray<number>
    }
  | {
      readonly _tag: "StreamDeleted"
      readonly name: string
      readonly topicId: string
      readonly logIds: ReadonlyArray<number>
    }
  /** Nothing is left of a deleted stream. Not in journals of older versions. */
  | { readonly _tag: "DeletionConfirmed"; readonly topicId: string }
  | { readonly _tag: "ProducerIdsAllocated"; readonly first: number; readonly count: number }

/** A stream was deleted, and what hangs on it has to go: its partitions' logs, and the offsets that groups have committed. */
export interface Deletion {
  readonly name: string
  readonly topicId: string
  readonly logIds: ReadonlyArray<number>
}

/** Given again from time to time until `ConfirmDeletion` is decided. */
export interface ForgetStream extends Deletion {
  readonly _tag: "ForgetStream"
}

/** A stream as plain data. */
export interface SavedStream extends Omit<Stream, "config"> {
  readonly config: ReadonlyArray<readonly [string, string]>
}

export type CatalogReply =
  | { readonly _tag: "Stream"; readonly stream: Stream }
  | { readonly _tag: "Deleted"; readonly topicId: string }
  | { readonly _tag: "Done" }
  | { readonly _tag: "ProducerIds"; readonly first: number; readonly count: number }

export type CatalogRefusal =
  | "InvalidStreamName"
  | "StreamExists"
  | "UnknownStream"
  | "InvalidPartitions"
  | "InvalidFilter"
  | "InvalidKey"
  | "InvalidConfig"
  | "TooManyStreams"
  /** The streams' share of `memoryBytesMax` is taken. */
  | "NoMemory"

export class CatalogRefused extends Data.TaggedError("CatalogRefused")<{
  readonly reason: CatalogRefusal
  readonly message: string
}> {}

/** The reply to each command. */
export interface CatalogReplies {
  readonly CreateStream: Extract<CatalogReply, { readonly _tag: "Stream" }>
  readonly AlterStream: Extract<CatalogReply, { readonly _tag: "Stream" }>
  readonly DeleteStream: Extract<CatalogReply, { readonly _tag: "Deleted" }>
  readonly ConfirmDeletion: Extract<CatalogReply, { readonly _tag: "Done" }>
  readonly RepeatIntents: Extract<CatalogReply, { readonly _tag: "Done" }>
  readonly AllocateProducerIds: Extract<CatalogReply, { readonly _tag: "ProducerIds" }>
}

export const CatalogKind = kind<{
  command: CatalogCommand
  replies: CatalogReplies
  failure: CatalogRefused
  event: CatalogEvent
  notice: ForgetStream
}>()("catalog")

export const catalogActor = address(CatalogKind, 0)
