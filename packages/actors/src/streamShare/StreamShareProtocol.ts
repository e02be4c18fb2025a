import { type Address, address, kind } from "@logbrook/core/actor/Kind"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import * as Data from "effect/Data"
import type { StreamDelivery, StreamReading } from "../session/SessionProtocol.ts"

/** A record of the stream that a member is to have. */
export interface ShareRecord extends Omit<StreamDelivery, "isFullTopic"> {
  readonly partition: number
  readonly offset: number
}

/** A record by its place alone. */
export type RecordPlace = readonly [partition: number, offset: number]

/**
 * A member subscribes. The reading of the first one counts, also for those that come later, unless `resets` or its stream is another
 * one than before: then reading begins as this one asks. Replied with `Done`.
 */
export interface Open {
  readonly _tag: "Open"
  readonly reading: StreamReading
  readonly resets: boolean
}

/**
 * The reader has read on: these records wait for members. Replied with `Done`; refused as `Changed` if the position is not where
 * the reader took it to be. A condition for what follows in the same list, also if nothing was read.
 */
export interface ReadOn {
  readonly _tag: "ReadOn"
  /** That of the state from which the reader began. */
  readonly life: number
  /** The next offset of each partition in which it has changed: as the reader knew it before, and as it is now. */
  readonly positions: ReadonlyArray<readonly [partition: number, from: number, to: number]>
  readonly records: ReadonlyArray<ShareRecord>
}

/** Decided in the turn that queues them for a member's session. Replied with `Done`; those that do not wait are passed over. */
export interface HandOut {
  readonly _tag: "HandOut"
  readonly records: ReadonlyArray<RecordPlace>
  /** The client id of that member; null: retention took them, nobody gets them. */
  readonly to: string | null
}

/**
 * Decided in the turn in which the session that had them gives them up. Replied with `Done`; passed over are those of another stream, and
 * those that are read again anyway. Never refused.
 */
export interface TakeBack {
  readonly _tag: "TakeBack"
  readonly topicId: string
  readonly records: ReadonlyArray<ShareRecord>
}

/** The last member has gone. Replied with `Done`. */
export interface Leave {
  readonly _tag: "Leave"
}

/** Deadline, or there are too many groups without members: the position is forgotten, unless a member has come since. */
export interface Expire {
  readonly _tag: "Expire"
  readonly sinceMs: number
}

export type StreamShareCommand = Open | ReadOn | HandOut | TakeBack | Leave | Expire

export interface StreamShareDone {
  readonly _tag: "Done"
}

/** `QuotaExceeded`: there is no memory for it. */
export class StreamShareRefused extends Data.TaggedError("StreamShareRefused")<{
  readonly reason: "Changed" | "QuotaExceeded"
}> {}

/** Reading begins, or begins anew: what waited before is forgotten. */
export interface ShareStarted {
  readonly _tag: "ShareStarted"
  readonly reading: StreamReading
}

/** The records before these offsets were delivered, are in a member's queue, or wait, as `records` do now. */
export interface SharePositionMoved {
  readonly _tag: "SharePositionMoved"
  readonly positions: ReadonlyArray<RecordPlace>
  readonly records: ReadonlyArray<ShareRecord>
}

export interface ShareHandedOut {
  readonly _tag: "ShareHandedOut"
  readonly records: HandOut["records"]
  readonly to: string | null
}

export interface ShareTakenBack {
  readonly _tag: "ShareTakenBack"
  readonly records: ReadonlyArray<ShareRecord>
}

/** There is no member. */
export interface ShareIdle {
  readonly _tag: "ShareIdle"
  readonly sinceMs: number
}

/** There is one again. */
export interface ShareResumed {
  readonly _tag: "ShareResumed"
}

export interface ShareExpired {
  readonly _tag: "ShareExpired"
}

export type StreamShareEvent =
  | ShareStarted
  | SharePositionMoved
  | ShareHandedOut
  | ShareTakenBack
  | ShareIdle
  | ShareResumed
  | ShareExpired

export const StreamShareKind = kind<{
  command: StreamShareCommand
  replies: Readonly<Record<StreamShareCommand["_tag"], StreamShareDone>>
  failure: StreamShareRefused
  event: StreamShareEvent
  notice: never
}>()("streamShare")

/** `filter`: without options, `$share/GROUP/$stream/NAME[/FILTER]`. */
export const streamShareActor = (filter: string): Address<typeof StreamShareKind> => address(StreamShareKind, filter)

/** A position without members is kept as long as a session without its client may be. */
export type StreamShareSettings = Pick<Limits, "sessionExpiryMsMax">

export const defaultStreamShareSettings: StreamShareSettings = defaultLimits
