/** The journal on disk cannot be opened, or is not what this version writes. */
export class JournalError extends Error {
  readonly _tag = "JournalError"
  readonly reason: "UnknownFormat" | "Gap" | "Corrupt" | "Locked" | "Io"
  constructor(reason: JournalError["reason"], message: string) {
    super(message)
    this.name = "JournalError"
    this.reason = reason
  }
}
