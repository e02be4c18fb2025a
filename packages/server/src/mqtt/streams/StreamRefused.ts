/** Why a `$stream` subscription is refused. */
export type StreamRefusalReason =
  | "StreamName"
  | "UnknownOption"
  | "RepeatedOption"
  | "OptionValue"
  | "UnknownStream"
  | "UnknownPartition"
  | "OffsetOutOfRange"
  | "CannotMatch"

/** A `$stream` subscription that is none, or that asks for what is not there: SUBACK 0x8F, with the message as its reason. */
export class StreamRefused extends Error {
  readonly _tag = "StreamRefused"
  readonly reason: StreamRefusalReason

  constructor(reason: StreamRefusalReason, message: string) {
    super(message)
    this.name = "StreamRefused"
    this.reason = reason
  }
}
